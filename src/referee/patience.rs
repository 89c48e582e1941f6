//! How long the referee waits: for one answer, and for all answers of a part of the run together. Without the second limit
//! many answers, each just in time, would hold the machine for days.

use std::time::{Duration, Instant};

/// Longest wait for each of many answers, and the moment by which all of them must be there.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    each: Duration,
    until: Instant,
}

impl Patience {
    /// From now on: `each` for one answer, `all` for all of them.
    pub fn new(each: Duration, all: Duration) -> Self {
        Self {
            each,
            until: Instant::now() + all,
        }
    }

    /// Longest wait for the next answer.
    pub fn now(self) -> Duration {
        self.each
            .min(self.until.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_answers_share_one_limit() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        assert_eq!(Patience::new(second, hour).now(), second);
        assert!(Patience::new(hour, second).now() <= second);
        let over = Patience::new(second, Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(6));
        assert_eq!(over.now(), Duration::ZERO);
    }
}
