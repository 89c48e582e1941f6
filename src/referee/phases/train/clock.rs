//! The submission's own time.

use std::time::{Duration, Instant};

/// Counts from when it is made, less what was not the submission's own, and goes on from what a run had used up before.
#[derive(Debug)]
pub struct Clock {
    begun: Instant,
    before: Duration,
    not_theirs: Duration,
}

impl Default for Clock {
    fn default() -> Self {
        Self::from(Duration::ZERO)
    }
}

impl From<Duration> for Clock {
    fn from(before: Duration) -> Self {
        Self {
            begun: Instant::now(),
            before,
            not_theirs: Duration::ZERO,
        }
    }
}

impl Clock {
    pub fn spent(&self) -> Duration {
        (self.before + self.begun.elapsed()).saturating_sub(self.not_theirs)
    }

    /// Takes out time in which the submission stood still.
    pub fn pause(&mut self, duration: Duration) {
        self.not_theirs += duration;
    }
}
