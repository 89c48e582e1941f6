//! When a file may be taken as complete.
//!
//! Tools that rename when they are done are known by their temporary names. The others (scp, cp,
//! uploads) write in place; for them a file is complete when nothing has changed for a while.

use std::fmt;
use std::time::Duration;

/// Untouched for so long by the file's own clock, even a file without a proper end is taken at
/// once: it will not be finished any more, and clocks are not that far apart.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// What is known about a file at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// How long we have seen the file in this state, by our own clock.
    pub unchanged_for: Duration,
    /// How long ago it was modified, by its time stamp; `None` when that lies in the future.
    pub modified_ago: Option<Duration>,
    /// Whether it ends as a complete file of its form does.
    pub ends_whole: bool,
}

/// Why a file waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// It changed a moment ago.
    Young,
    /// Its time stamp is old but the end of the file is missing.
    Incomplete,
    /// It changed while it was being read.
    ChangedWhileReading,
    /// The configuration asks for a sentinel, and there is none.
    NoSentinel,
    /// A sidecar may still come.
    NoSidecar,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Young => "changed a moment ago",
            Self::Incomplete => "its end is not there yet",
            Self::ChangedWhileReading => "changed while it was being read",
            Self::NoSentinel => "its sentinel is not there yet",
            Self::NoSidecar => "its sidecar may still come",
        })
    }
}

/// The decision about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// Take it.
    Ready,
    /// Look again, not before this time has passed.
    Waiting {
        reason: WaitReason,
        look_again_in: Duration,
    },
}

/// Decides whether a file is complete.
///
/// Ready is what we ourselves saw unchanged for `settle`, whatever its time stamp says, so that
/// clocks that disagree block nothing. Ready at once is a file that ends as its form does (a zip, an
/// object of JSON) and was last modified at least `settle` ago, and any file modified more than a minute ago.
pub fn judge(observation: &Observation, settle: Duration) -> Settling {
    let Observation {
        unchanged_for,
        modified_ago,
        ends_whole,
    } = *observation;
    let own_wait = settle.saturating_sub(unchanged_for);
    if own_wait.is_zero() {
        return Settling::Ready;
    }
    let Some(age) = modified_ago else {
        return Settling::Waiting {
            reason: WaitReason::Young,
            look_again_in: own_wait,
        };
    };
    if (ends_whole && age >= settle) || age >= ABANDONED_AFTER.max(settle) {
        return Settling::Ready;
    }
    let (reason, look_again_in) = if age < settle {
        (WaitReason::Young, own_wait.min(settle - age))
    } else {
        (WaitReason::Incomplete, own_wait)
    };
    Settling::Waiting {
        reason,
        look_again_in,
    }
}

#[cfg(test)]
mod tests {
    use super::{Observation, Settling, WaitReason, judge};
    use std::time::Duration;

    const SETTLE: Duration = Duration::from_millis(2000);

    #[test]
    fn decisions() {
        let wait = |reason, look_again_ms| Settling::Waiting {
            reason,
            look_again_in: Duration::from_millis(look_again_ms),
        };
        // Unchanged for, modified ago (ms), ends like a zip, decision.
        let cases = [
            (0, Some(0), true, wait(WaitReason::Young, 2000)),
            (0, Some(500), true, wait(WaitReason::Young, 1500)),
            (1500, Some(500), false, wait(WaitReason::Young, 500)),
            (0, Some(1999), true, wait(WaitReason::Young, 1)),
            (0, Some(2000), true, Settling::Ready),
            (0, Some(2000), false, wait(WaitReason::Incomplete, 2000)),
            (1999, Some(59_999), false, wait(WaitReason::Incomplete, 1)),
            (0, Some(60_000), false, Settling::Ready),
            (2000, Some(0), false, Settling::Ready),
            (0, None, true, wait(WaitReason::Young, 2000)),
            (2000, None, false, Settling::Ready),
        ];
        for (unchanged_ms, modified_ms, ends_whole, expected) in cases {
            let observation = Observation {
                unchanged_for: Duration::from_millis(unchanged_ms),
                modified_ago: modified_ms.map(Duration::from_millis),
                ends_whole,
            };
            assert_eq!(judge(&observation, SETTLE), expected, "{observation:?}");
        }
    }

    #[test]
    fn no_settling_time_means_no_waiting() {
        let observation = Observation {
            unchanged_for: Duration::ZERO,
            modified_ago: None,
            ends_whole: false,
        };
        assert_eq!(judge(&observation, Duration::ZERO), Settling::Ready);
    }
}
