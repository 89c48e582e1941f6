//! The gate: what the static rooms accepted is asked about before the device, several at once, while the device works.
//!
//! A verdict goes on or ends; whatever is none is held and asked about again, later and later, until it expires. Nobody
//! else waits for it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::report::{Report, told};
use super::{Pipeline, examine, queue, stored};
use crate::bundle;
use crate::config::gate::{GateMode, OnExpiry};
use crate::gate::cache::Cache;
use crate::gate::record::{self, Record};
use crate::gate::{self, GateError, Hold, Outcome, Place, Reviewer, Ruling};
use crate::outbox::schema::Schema;
use crate::outbox::status::{
    GateAnswer, GateOutcome, Gated, Reason, State, Status, Verdict, rfc3339,
};
use crate::outbox::{OutboxError, atomic, seal};

/// What the gate tells the device's loop while both are at work.
#[derive(Debug, Default)]
pub(super) struct Beside {
    news: Mutex<News>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct News {
    /// Counts the submissions that were let go on or ended.
    decided: u64,
    is_done: bool,
}

impl Beside {
    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut lock(&self.news));
        self.changed.notify_all();
    }

    /// How many were decided so far.
    pub(super) fn decided(&self) -> u64 {
        lock(&self.news).decided
    }

    /// Waits until more than so many are decided. False: the gate is done, and no more will be.
    pub(super) fn wait_for_more(&self, than: u64) -> bool {
        let mut news = lock(&self.news);
        while news.decided <= than && !news.is_done {
            news = self
                .changed
                .wait(news)
                .unwrap_or_else(PoisonError::into_inner);
        }
        news.decided > than
    }
}

/// Says that the gate is done, also when it panics.
struct Done<'a>(&'a Beside);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.tell(|news| news.is_done = true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one pass of the gate came to.
#[derive(Debug, Default)]
pub(super) struct Passed {
    moved: Vec<Status>,
    problems: Vec<String>,
    retry_in: Option<Duration>,
    stopped: bool,
}

impl Passed {
    pub(super) fn into(self, moved: &mut Vec<Status>, report: &mut Report) {
        moved.extend(self.moved);
        report.infrastructure.extend(self.problems);
        report.stopped |= self.stopped;
        if let Some(wait) = self.retry_in {
            report.retry_within(wait);
        }
    }

    fn retry_within(&mut self, wait: Duration) {
        self.retry_in = Some(self.retry_in.map_or(wait, |before| before.min(wait)));
    }
}

/// What is to be done about a submission now.
enum Due {
    Ask,
    Expire,
    /// Nothing before this much time.
    Rest(Option<Duration>),
}

impl Pipeline<'_> {
    /// Whether the gate lets a submission that was reviewed go on to the device.
    pub(super) fn has_passed_gate(&self, status: &Status) -> bool {
        self.config.gate.mode == GateMode::Off
            || status.state != State::Reviewed
            || status
                .gate
                .as_ref()
                .is_some_and(|gate| gate.outcome.passes())
    }

    /// Asks about everything that is due.
    pub(super) fn gate(&self, beside: &Beside) -> Passed {
        let _done = Done(beside);
        let mut passed = Passed::default();
        let is_off = self.config.gate.mode == GateMode::Off;
        // Without a gate nothing is ever held by it again: it is looked at once.
        if is_off && self.looked_at_gate.swap(true, Ordering::SeqCst) {
            return passed;
        }
        let mut statuses = match self.ledger.statuses(&self.outbox) {
            Ok(statuses) => statuses.readable,
            Err(error) => {
                passed.problems.push(told(&error));
                return passed;
            }
        };
        statuses.retain(|status| {
            status.is_held_by_gate() || (!is_off && !self.has_passed_gate(status))
        });
        statuses.sort_by(queue::order);
        let now = SystemTime::now();
        let mut asked = VecDeque::new();
        for status in statuses {
            let name = status.name.clone();
            let done = if is_off {
                self.decide(&status, |status| {
                    if let Some(gate) = &mut status.gate {
                        gate.outcome = GateOutcome::Waived;
                    }
                    open(status, "the gate is off", now)
                })
            } else {
                match self.due(&status, now) {
                    Due::Ask => {
                        asked.push_back(status);
                        continue;
                    }
                    Due::Expire => self.decide(&status, |status| self.expire(status, now)),
                    Due::Rest(wait) => {
                        rest(&status, wait, &mut passed);
                        continue;
                    }
                }
            };
            self.take(&name, done, beside, &mut passed);
        }
        if !asked.is_empty() {
            self.ask_all(asked, beside, &mut passed);
        }
        passed
    }

    fn ask_all(&self, asked: VecDeque<Status>, beside: &Beside, passed: &mut Passed) {
        let settings = &self.config.gate;
        // Nobody to ask is a reason to wait, for each of them.
        let reviewer = match Reviewer::new(settings) {
            Ok(None) => return,
            Ok(Some(reviewer)) => Ok(reviewer),
            Err(error) => Err(error),
        };
        let cache = Cache::of(&self.outbox, settings.cached_verdicts);
        let workers = asked.len().min(settings.parallel as usize);
        let (asked, shared) = (Mutex::new(asked), Mutex::new(passed));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(status) = next(&asked) {
                        if self.stop.is_asked() {
                            lock(&shared).stopped = true;
                            break;
                        }
                        let done = self.ask(&status, reviewer.as_ref(), &cache);
                        self.take(&status.name, done, beside, &mut lock(&shared));
                    }
                });
            }
        });
    }

    /// Asks about one submission, and writes down what became of it. None: it was stopped, or somebody else decided.
    fn ask(
        &self,
        status: &Status,
        reviewer: Result<&Reviewer, &GateError>,
        cache: &Cache,
    ) -> Result<Option<Status>, OutboxError> {
        let arrival = stored::arrival(&self.outbox, status)?;
        let work = self.outbox.work(&format!("{}.gate", status.submission_id));
        let is_stopped = || self.stop.is_asked();
        let place = Place {
            cache,
            work: &work,
            is_stopped: &is_stopped,
        };
        let ruled = catch_unwind(AssertUnwindSafe(|| {
            let bundle = bundle::open(&arrival.bytes, &self.config.archive);
            bundle.map(|bundle| gate::review(&bundle, &self.config.gate, reviewer, &place))
        }));
        let now = SystemTime::now();
        match ruled {
            Ok(Ok(Ok(ruling))) => self.decide(status, |status| self.rule(status, ruling, now)),
            Ok(Ok(Err(_stopped))) => Ok(None),
            Ok(Err(error)) => Err(OutboxError::Unreadable {
                path: arrival.path.clone(),
                reason: format!("{error}; it was changed, or archive limits were tightened"),
            }),
            Err(_) => self.decide(status, |status| {
                status.gate = None;
                examine::hold_for_fault(status);
                Ok(())
            }),
        }
    }

    /// Changes a submission, unless somebody did since it was looked at: an operator who decides is not overruled.
    fn decide(
        &self,
        seen: &Status,
        change: impl FnOnce(&mut Status) -> Result<(), OutboxError>,
    ) -> Result<Option<Status>, OutboxError> {
        let _alone = lock(&self.deciding);
        let there = Status::read(&self.outbox, &seen.submission_id)?;
        let Some(mut status) = there.filter(|there| there == seen) else {
            return Ok(None);
        };
        change(&mut status)?;
        status.write(&self.outbox)?;
        Ok(Some(status))
    }

    fn take(
        &self,
        name: &str,
        done: Result<Option<Status>, OutboxError>,
        beside: &Beside,
        passed: &mut Passed,
    ) {
        match done {
            Ok(Some(status)) => {
                self.tell(&status);
                if status.is_held_by_gate() {
                    let wait = match self.due(&status, SystemTime::now()) {
                        Due::Ask | Due::Expire => Some(Duration::ZERO),
                        Due::Rest(wait) => wait,
                    };
                    rest(&status, wait, passed);
                } else {
                    beside.tell(|news| news.decided += 1);
                }
                passed.moved.push(status);
            }
            Ok(None) => passed.stopped |= self.stop.is_asked(),
            Err(error) => {
                passed.problems.push(format!("{name}: {}", told(&error)));
                passed.retry_within(self.retry_after());
            }
        }
    }

    fn due(&self, status: &Status, now: SystemTime) -> Due {
        let Some(gate) = &status.gate else {
            return Due::Ask;
        };
        let expiry = self.until_expiry(gate, now);
        if expiry == Some(Duration::ZERO) {
            return Due::Expire;
        }
        if gate.outcome == GateOutcome::Parked {
            return Due::Rest(expiry);
        }
        match (queue::rest(status, now), expiry) {
            (None, _) => Due::Ask,
            (Some(wait), Some(expiry)) => Due::Rest(Some(wait.min(expiry))),
            (Some(wait), None) => Due::Rest(Some(wait)),
        }
    }

    /// How long until a submission is without a verdict for too long; none: for ever, or it waits for a person by policy.
    fn until_expiry(&self, gate: &Gated, now: SystemTime) -> Option<Duration> {
        let settings = &self.config.gate;
        let is_parked = gate.outcome == GateOutcome::Parked;
        if settings.expire_after_s == 0 || is_parked && settings.on_expiry != OnExpiry::Reject {
            return None;
        }
        // A time that cannot be read is long ago.
        let since = humantime::parse_rfc3339(&gate.since).unwrap_or(SystemTime::UNIX_EPOCH);
        let age = now.duration_since(since).unwrap_or_default();
        Some(Duration::from_secs(settings.expire_after_s).saturating_sub(age))
    }

    fn expire(&self, status: &mut Status, now: SystemTime) -> Result<(), OutboxError> {
        let seconds = self.config.gate.expire_after_s;
        let last = status.reason.as_ref().map_or("", |reason| &reason.message);
        let reason = Reason {
            rule_id: gate::RULE_EXPIRED.to_owned(),
            message: format!("without a verdict of the reviewer for {seconds} s; the last: {last}"),
            hint: match self.config.gate.on_expiry {
                OnExpiry::Reject => "send it again when the reviewer answers, with a change to it",
                OnExpiry::Hold | OnExpiry::Allow => {
                    "`prism release` lets it pass, `prism retry` asks again, `prism reject` turns it away"
                }
            }
            .to_owned(),
        };
        let outcome = match self.config.gate.on_expiry {
            OnExpiry::Reject => GateOutcome::Rejected,
            OnExpiry::Hold => GateOutcome::Parked,
            OnExpiry::Allow => GateOutcome::Waived,
        };
        if let Some(gate) = &mut status.gate {
            gate.outcome = outcome;
        }
        status.queue.not_before = None;
        match outcome {
            GateOutcome::Waived => return open(status, "gate.on_expiry lets it pass", now),
            GateOutcome::Parked => status.reason = Some(reason),
            _ => status.conclude(Verdict::Rejected, Some(reason), now),
        }
        Ok(())
    }

    /// Writes down a ruling.
    fn rule(
        &self,
        status: &mut Status,
        ruling: Ruling,
        now: SystemTime,
    ) -> Result<(), OutboxError> {
        let Ruling { outcome, record } = ruling;
        self.keep(status, record.as_ref())?;
        let before = status.gate.take();
        let since = before.as_ref().map(|gate| gate.since.clone());
        let failures = before.map_or(0, |gate| gate.failures);
        let mut gate = Gated {
            outcome: GateOutcome::Allowed,
            since: since.unwrap_or_else(|| rfc3339(now)),
            failures: 0,
            answer: record.as_ref().map(answer),
        };
        status.queue.not_before = None;
        match outcome {
            Outcome::Allowed => {
                status.gate = Some(gate);
                open(status, "the gate allows it", now)
            }
            Outcome::Rejected {
                rule_id,
                message,
                hint,
            } => {
                gate.outcome = GateOutcome::Rejected;
                status.gate = Some(gate);
                let reason = Reason {
                    rule_id: rule_id.to_owned(),
                    message,
                    hint: hint.to_owned(),
                };
                status.conclude(Verdict::Rejected, Some(reason), now);
                Ok(())
            }
            Outcome::Held(hold) => {
                gate.failures = failures.saturating_add(1);
                if hold.is_asked_again {
                    gate.outcome = GateOutcome::Held;
                    status.queue.not_before = self.asked_again_at(&hold, gate.failures, now);
                } else {
                    gate.outcome = GateOutcome::Parked;
                }
                status.gate = Some(gate);
                let reason = Reason {
                    rule_id: hold.rule_id.to_owned(),
                    message: hold.message,
                    hint: hold.hint,
                };
                if status.state == State::Held {
                    // As before: no line for each time that nothing changed.
                    status.reason = Some(reason);
                } else {
                    status.conclude(Verdict::Held, Some(reason), now);
                }
                Ok(())
            }
        }
    }

    /// The question and its answer beside the submission; what was sealed is about to change.
    fn keep(&self, status: &Status, record: Option<&Record>) -> Result<(), OutboxError> {
        let folder = self.outbox.submission(&status.submission_id);
        if status.state == State::Held {
            seal::lift(&folder)?;
        }
        let path = folder.join(record::FILE);
        match record {
            Some(record) => atomic::write_json(&path, Schema::Gate, record),
            None => atomic::remove_file(&path),
        }
    }

    fn asked_again_at(&self, hold: &Hold, failures: u32, now: SystemTime) -> Option<String> {
        let base = Duration::from_secs(self.config.gate.retry_after_s);
        let wished = hold.retry_after.unwrap_or_default();
        let wait = queue::back_off(base, failures)
            .max(wished)
            .min(queue::LONGEST_WAIT);
        (!wait.is_zero()).then(|| rfc3339(now + wait))
    }
}

fn next(asked: &Mutex<VecDeque<Status>>) -> Option<Status> {
    lock(asked).pop_front()
}

/// Lets a submission go on to the device.
fn open(status: &mut Status, why: &str, now: SystemTime) -> Result<(), OutboxError> {
    status.queue.not_before = None;
    status.reason = None;
    if status.state != State::Reviewed {
        status.advance(State::Reviewed, now);
        status.note(why);
    }
    Ok(())
}

/// What waits is looked at again in time; that nobody answers is told.
fn rest(status: &Status, wait: Option<Duration>, passed: &mut Passed) {
    if let Some(wait) = wait {
        passed.retry_within(wait);
    }
    if let Some(reason) = &status.reason
        && reason.rule_id == gate::RULE_UNAVAILABLE
    {
        passed.problems.push(format!(
            "{}: {} ({})",
            status.name, reason.message, reason.hint
        ));
    }
}

fn answer(record: &Record) -> GateAnswer {
    let verdict = match record.answer.verdict {
        gate::answer::Said::Allow => "allow",
        gate::answer::Said::Reject => "reject",
        gate::answer::Said::Unsure => "unsure",
    };
    GateAnswer {
        bundle_sha256: record.bundle_sha256.clone(),
        prompt_version: record.prompt_version.clone(),
        prompt_sha256: record.prompt_sha256.clone(),
        model: record.model.clone(),
        request_sha256: record.request_sha256.clone(),
        answer_sha256: record.answer_sha256.clone(),
        verdict: verdict.to_owned(),
    }
}
