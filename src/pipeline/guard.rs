//! What ends a run from outside: a stop of prism, a request of the operator, a referee that says nothing any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::heartbeat;
use super::requests;
use super::stop::Stop;
use crate::config::Config;
use crate::outbox::Outbox;
use crate::sandbox::process::ProcessIdentity;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests are files; they are looked for less often.
const LOOKS_PER_REQUEST: u32 = 5;
/// All text is encoded before the first batch, which no setting limits.
const ENCODING: Duration = Duration::from_secs(3_600);

/// Why a run was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    Stopped,
    Requested,
    Silent(Duration),
}

/// Watches over the run of one submission.
#[derive(Debug)]
pub struct Guard<'a> {
    outbox: &'a Outbox,
    submission_id: &'a str,
    stop: &'a Stop,
    /// The referee ends each part of a run by itself; one that is silent for longer than all of them together hangs.
    longest_silence: Duration,
}

/// When the referee was heard of last.
#[derive(Debug)]
pub struct Heard(Mutex<Instant>);

impl Heard {
    pub fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn ago(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }
}

impl<'a> Guard<'a> {
    pub fn new(
        config: &Config,
        outbox: &'a Outbox,
        submission_id: &'a str,
        stop: &'a Stop,
    ) -> Self {
        let run = &config.run;
        let seconds = run.startup_s
            + run.build_s
            + 2 * run.evaluate_s
            + run.predict_s
            + config.budget.wall_clock_s
            + config.budget.grace_s;
        Self {
            outbox,
            submission_id,
            stop,
            longest_silence: Duration::from_secs(seconds).saturating_mul(2) + ENCODING,
        }
    }

    /// Listens to the referee while a thread of its own looks for reasons to end it.
    pub fn over<T>(
        &self,
        referee: Option<&ProcessIdentity>,
        listen: impl FnOnce(&Heard) -> T,
    ) -> (T, Option<Interruption>) {
        let heard = Heard(Mutex::new(Instant::now()));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = referee.map(|referee| scope.spawn(|| self.watch(referee, &heard, &done)));
            let end = End(
                &done,
                watcher.as_ref().map(|watcher| watcher.thread().clone()),
            );
            let result = listen(&heard);
            drop(end);
            let interruption = watcher.and_then(|watcher| watcher.join().unwrap_or(None));
            (result, interruption)
        })
    }

    fn watch(
        &self,
        referee: &ProcessIdentity,
        heard: &Heard,
        done: &AtomicBool,
    ) -> Option<Interruption> {
        let mut looks = 0_u32;
        while !done.load(Ordering::SeqCst) {
            heartbeat::beat();
            if let Some(interruption) = self.reason(heard, looks) {
                // One that is stuck in the kernel is not waited for; the next run of prism looks for it.
                referee.end();
                return Some(interruption);
            }
            looks = looks.wrapping_add(1);
            std::thread::park_timeout(LOOK_EVERY);
        }
        None
    }

    fn reason(&self, heard: &Heard, looks: u32) -> Option<Interruption> {
        if self.stop.is_asked() {
            return Some(Interruption::Stopped);
        }
        if looks.is_multiple_of(LOOKS_PER_REQUEST)
            && requests::ends_run(self.outbox, self.submission_id)
        {
            return Some(Interruption::Requested);
        }
        (heard.ago() > self.longest_silence).then_some(Interruption::Silent(self.longest_silence))
    }
}

/// Ends the watcher, also when the listener panics.
struct End<'a>(&'a AtomicBool, Option<std::thread::Thread>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        if let Some(thread) = &self.1 {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_stop_ends_the_run_and_a_silent_one_too() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        let stop = Stop::default();
        let mut guard = Guard::new(&Config::default(), &outbox, "a", &stop);
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id() as i32).unwrap();
        let (listened, interruption) = guard.over(Some(&identity), |heard| heard.now());
        assert_eq!(((), None), (listened, interruption));
        assert!(identity.is_alive());

        guard.longest_silence = Duration::ZERO;
        let (_, interruption) = guard.over(Some(&identity), |_| child.wait().unwrap());
        assert_eq!(interruption, Some(Interruption::Silent(Duration::ZERO)));

        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id() as i32).unwrap();
        stop.ask();
        let (_, interruption) = guard.over(Some(&identity), |_| child.wait().unwrap());
        assert_eq!(interruption, Some(Interruption::Stopped));
    }
}
