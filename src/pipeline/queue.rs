//! The queue of the device: who is next, who waits for what, and how `prism queue` shows it.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::ledger::Ledger;
use super::requests::{self, Request};
use crate::config::Config;
use crate::outbox::lock::{self, Holder};
use crate::outbox::status::{Reason, State, Status, rfc3339};
use crate::outbox::{Outbox, OutboxError};

pub const SCHEMA_VERSION: &str = "prism_queue.v1";

/// Longest wait between two attempts, whatever the doubling comes to.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Order of acceptance.
pub fn order(a: &Status, b: &Status) -> Ordering {
    (&a.accepted_at, &a.submission_id).cmp(&(&b.accepted_at, &b.submission_id))
}

/// Whether a submission is to be measured, also one whose run was killed.
pub fn waits(status: &Status) -> bool {
    matches!(
        status.state,
        State::Reviewed | State::Measuring | State::Measured
    )
}

/// How long a submission that failed for want of infrastructure still waits; none when it may begin.
pub fn rest(status: &Status, now: SystemTime) -> Option<Duration> {
    let not_before = status.queue.not_before.as_deref()?;
    // A time that cannot be read holds nobody back.
    let not_before = humantime::parse_rfc3339(not_before).ok()?;
    let rest = not_before.duration_since(now).ok()?;
    // The clock was set back: no wait is longer than the longest.
    (!rest.is_zero() && rest <= LONGEST_WAIT).then_some(rest)
}

/// When a submission may begin again: after `run.retry_after_s`, twice as long after each further failure, at most an
/// hour.
pub fn not_before(config: &Config, status: &Status, now: SystemTime) -> Option<String> {
    let base = Duration::from_secs(config.run.retry_after_s);
    let wait = back_off(base, status.counted_attempts());
    (!wait.is_zero()).then(|| rfc3339(now + wait))
}

/// The wait after so many failures: twice as long after each further one, at most an hour.
pub fn back_off(base: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    base.saturating_mul(1 << doublings).min(LONGEST_WAIT)
}

/// One submission in the queue.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    pub submission_id: String,
    pub name: String,
    pub accepted_at: String,
    pub state: State,
    /// When it got there.
    pub since: String,
    pub attempts: u32,
    /// Runs that may still be begun.
    pub attempts_left: u32,
    /// It is not begun before.
    pub not_before: Option<String>,
    /// Why it waits or is held.
    pub reason: Option<Reason>,
}

/// What `prism queue` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Queue {
    pub schema_version: &'static str,
    /// RFC 3339.
    pub at: String,
    /// The prism that holds the outbox; none: nobody is at work.
    pub runner: Option<Holder>,
    /// On the device now.
    pub running: Vec<Entry>,
    /// In the order in which they are begun.
    pub waiting: Vec<Entry>,
    pub held: Vec<Entry>,
    /// Asked for and not yet taken.
    pub requests: Vec<Request>,
    /// Submissions whose status cannot be read.
    pub unreadable: Vec<String>,
}

/// Looks at an outbox, which may be at work; nothing is changed.
///
/// # Errors
/// An outbox that cannot be listed.
pub fn queue(config: &Config, outbox: &Outbox, now: SystemTime) -> Result<Queue, OutboxError> {
    let runner = lock::holder(outbox)?;
    let found = Ledger::default().statuses(outbox)?;
    let mut queue = Queue {
        schema_version: SCHEMA_VERSION,
        at: rfc3339(now),
        running: Vec::new(),
        waiting: Vec::new(),
        held: Vec::new(),
        requests: requests::waiting(outbox)
            .into_iter()
            .filter_map(|(_, request)| request.ok())
            .collect(),
        unreadable: found.unreadable,
        runner,
    };
    let mut statuses = found.readable;
    statuses.sort_by(order);
    // Those that rest come after those that may begin.
    statuses.sort_by_key(|status| rest(status, now));
    for status in statuses {
        let place = match status.state {
            State::Measuring | State::Measured if queue.runner.is_some() => &mut queue.running,
            State::Received
            | State::Bundled
            | State::Reviewed
            | State::Measuring
            | State::Measured => &mut queue.waiting,
            State::Held => &mut queue.held,
            State::Scored | State::Rejected | State::Failed => continue,
        };
        place.push(entry(config, status, now));
    }
    Ok(queue)
}

fn entry(config: &Config, status: Status, now: SystemTime) -> Entry {
    let last = status.transitions.last();
    Entry {
        since: last.map_or_else(String::new, |last| last.at.clone()),
        attempts_left: config
            .run
            .max_attempts
            .saturating_sub(status.counted_attempts()),
        not_before: rest(&status, now).and(status.queue.not_before),
        submission_id: status.submission_id,
        name: status.name,
        accepted_at: status.accepted_at,
        state: status.state,
        attempts: status.attempts,
        reason: status.reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::schema::{self, Schema};

    #[test]
    fn waits_double_and_end() {
        let mut config = Config::default();
        config.run.retry_after_s = 60;
        let now = SystemTime::now();
        let mut status = Status::new("a", "a.zip", None, now);
        let mut seconds = |attempts| {
            status.attempts = attempts;
            status.queue.not_before = not_before(&config, &status, now);
            rest(&status, now).map(|rest| rest.as_secs_f64().round() as u64)
        };
        let expected = [Some(60), Some(120), Some(240), Some(3_600)];
        assert_eq!([1, 2, 3, 40].map(&mut seconds), expected);
        config.run.retry_after_s = 0;
        assert_eq!(not_before(&config, &status, now), None);
        // the clock was set back by a day
        let earlier = now - Duration::from_secs(86_400);
        assert_eq!(rest(&status, earlier), None);
    }

    #[test]
    fn a_queue_shows_who_waits_for_what_in_order() {
        let root = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(root.path());
        let now = SystemTime::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut all = ["first", "second", "resting", "died", "parked", "done"]
            .into_iter()
            .zip(1..)
            .map(|(id, ms)| Status::new(id, &format!("{id}.zip"), None, later(ms)))
            .collect::<Vec<_>>();
        for status in &mut all {
            status.advance(State::Reviewed, now);
        }
        all[2].queue.not_before = Some(rfc3339(later(60_000)));
        all[3].advance(State::Measuring, now);
        all[5].advance(State::Scored, now);
        all[5].verdict = Some(crate::outbox::status::Verdict::Scored);
        for status in all.iter().rev() {
            status.write(&outbox).unwrap();
        }
        let request = Request::new(requests::Action::Hold, "parked", None, now);
        requests::leave(&outbox, &request).unwrap();
        requests::take(&outbox, &mut Vec::new());
        requests::leave(&outbox, &request).unwrap();
        let names = |entries: &[Entry]| -> Vec<String> {
            let ids = entries.iter().map(|entry| entry.submission_id.clone());
            ids.collect()
        };

        let shown = queue(&Config::default(), &outbox, now).unwrap();
        assert_eq!(
            names(&shown.waiting),
            ["first", "second", "died", "resting"]
        );
        assert_eq!(names(&shown.held), ["parked"]);
        assert_eq!((shown.running.len(), shown.requests.len()), (0, 1));
        let _lock = lock::acquire(&outbox).unwrap();
        let shown = queue(&Config::default(), &outbox, now).unwrap();
        assert_eq!(names(&shown.running), ["died"]);
        let value = serde_json::to_value(&shown).unwrap();
        schema::check(root.path(), Schema::Queue, &value).unwrap();
    }
}
