//! A wait with an end: work on a thread of its own, which is left alone when the time is over or prism is to stop.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often a wish to stop is looked for.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why nothing came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impatience {
    TimeIsUp,
    Stopped,
    /// The work ended by a fault of its own.
    Lost,
}

/// Does some work within a time. Work that is late has to end by itself; nobody takes its result any more.
///
/// # Errors
/// [`Impatience`].
pub fn within<T: Send + 'static>(
    time: Duration,
    is_stopped: &dyn Fn() -> bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Impatience> {
    let (sender, receiver) = channel();
    let deadline = Instant::now() + time;
    std::thread::spawn(move || {
        // Nobody may be there to take it.
        let _ = sender.send(work());
    });
    loop {
        let now = Instant::now();
        match receiver.recv_timeout(LOOK_EVERY.min(deadline.saturating_duration_since(now))) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(Impatience::Lost),
            Err(RecvTimeoutError::Timeout) if is_stopped() => return Err(Impatience::Stopped),
            Err(RecvTimeoutError::Timeout) if now >= deadline => return Err(Impatience::TimeIsUp),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_work_the_time_or_a_stop() {
        let hour = Duration::from_secs(3_600);
        let sleep = move || std::thread::sleep(hour);
        assert_eq!(within(hour, &|| false, || 7), Ok(7));
        assert_eq!(within(hour, &|| true, sleep), Err(Impatience::Stopped));
        assert_eq!(
            within(Duration::ZERO, &|| false, sleep),
            Err(Impatience::TimeIsUp)
        );
    }
}
