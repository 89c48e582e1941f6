//! What the hotkeys of an outbox have done: the nonces that they used, what of theirs is open, and when they submitted.
//! Rebuilt from the statuses, the pruned ones included: a nonce is used when the status that names it is there.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use super::admit::{self, Admitted};
use super::ledger::Ledger;
use super::prune;
use crate::config::Config;
use crate::identity::{Mode, Refusal, Settings};
use crate::intake::{self, Candidate, Form, Reading};
use crate::outbox::status::{Reason, State, Status};
use crate::outbox::{Outbox, OutboxError};

/// What was decided about signed files, by path: the submission that each was when it was looked at, and what becomes of it.
pub type Decisions = HashMap<PathBuf, (String, Decision)>;

/// What becomes of a signed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Admit,
    Refuse(Reason),
    /// It stays in the inbox for now; why.
    Wait(String),
}

/// The hotkeys of an outbox.
#[derive(Debug, Default)]
struct Claimants {
    known: HashSet<String>,
    /// The submission that used a nonce, by hotkey and nonce.
    nonces: HashMap<(String, String), String>,
    /// Submissions without a verdict, by hotkey.
    open: HashMap<String, String>,
    submitted: HashMap<String, Vec<SystemTime>>,
}

/// A signed file.
struct Claimant {
    path: PathBuf,
    submission_id: String,
    hotkey: String,
    nonce: String,
}

/// Decides about the signed ones among the candidates, in their order. Others are not in the result.
///
/// # Errors
/// An outbox that cannot be listed.
pub fn decide(
    config: &Config,
    outbox: &Outbox,
    ledger: &Ledger,
    candidates: &[Candidate],
    now: SystemTime,
) -> Result<Decisions, OutboxError> {
    let may_be_signed = |one: &&Candidate| one.sidecar.is_some() || one.form == Form::Envelope;
    if config.identity.mode == Mode::Off || !candidates.iter().any(|one| may_be_signed(&one)) {
        return Ok(Decisions::new());
    }
    let signed: Vec<Option<Claimant>> = candidates
        .par_iter()
        .map(|one| may_be_signed(&one).then(|| claimant(config, one)).flatten())
        .collect();
    let mut claimants = Claimants::read(outbox, ledger)?;
    let decided = signed.into_iter().flatten().map(|one| {
        let decision = claimants.decide(&one, &config.identity, now);
        (one.path, (one.submission_id, decision))
    });
    Ok(decided.collect())
}

/// The owner of a file; what cannot be read, or is refused, is told of when it is examined.
fn claimant(config: &Config, candidate: &Candidate) -> Option<Claimant> {
    let limit_bytes = config.archive.max_archive_bytes;
    let Ok(Reading::Delivery(delivery)) =
        intake::read(candidate, limit_bytes, config.intake.sentinel)
    else {
        return None;
    };
    let Ok(Admitted::Arrival(arrival)) = admit::admit(delivery, &config.identity) else {
        return None;
    };
    Some(Claimant {
        path: arrival.path,
        submission_id: arrival.submission_id,
        hotkey: arrival.hotkey?,
        nonce: arrival.identity?.nonce?,
    })
}

impl Claimants {
    fn read(outbox: &Outbox, ledger: &Ledger) -> Result<Self, OutboxError> {
        let mut claimants = Self::default();
        let statuses = ledger.statuses(outbox)?.readable;
        for status in statuses.into_iter().chain(prune::remembered(outbox)?) {
            claimants.add(&status);
        }
        Ok(claimants)
    }

    fn add(&mut self, status: &Status) {
        self.known.insert(status.submission_id.clone());
        let Some(hotkey) = &status.hotkey else {
            return;
        };
        let id = status.submission_id.clone();
        let nonce = status.identity.as_ref().and_then(|one| one.nonce.clone());
        if let Some(nonce) = nonce {
            self.nonces.insert((hotkey.clone(), nonce), id.clone());
        }
        if !status.is_final() || status.state == State::Held {
            self.open.insert(hotkey.clone(), id);
        }
        if let Ok(at) = humantime::parse_rfc3339(&status.accepted_at) {
            self.submitted.entry(hotkey.clone()).or_default().push(at);
        }
    }

    fn decide(&mut self, one: &Claimant, settings: &Settings, now: SystemTime) -> Decision {
        if self.known.contains(&one.submission_id) {
            return Decision::Admit;
        }
        let nonce = (one.hotkey.clone(), one.nonce.clone());
        if let Some(earlier) = self.nonces.get(&nonce) {
            let refusal = Refusal::NonceReused {
                hotkey: one.hotkey.clone(),
                nonce: one.nonce.clone(),
                earlier: earlier.clone(),
            };
            return Decision::Refuse(admit::reason(&refusal));
        }
        if settings.one_open
            && let Some(open) = self.open.get(&one.hotkey)
        {
            return Decision::Wait(format!(
                "submission {open} of {} has no verdict yet (identity.one_open)",
                one.hotkey
            ));
        }
        let window = Duration::from_secs(settings.rate_window_s);
        let submitted = self.submitted.entry(one.hotkey.clone()).or_default();
        // a time that lies in the future is within any window
        let is_recent =
            |at: &&SystemTime| now.duration_since(**at).is_ok_and(|age| age < window) || **at > now;
        let recent = submitted.iter().filter(is_recent).count();
        if settings.rate_limit > 0 && recent >= settings.rate_limit as usize {
            return Decision::Wait(format!(
                "{} has {recent} submissions in {} s (identity.rate_limit)",
                one.hotkey, settings.rate_window_s
            ));
        }
        submitted.push(now);
        self.known.insert(one.submission_id.clone());
        self.nonces.insert(nonce, one.submission_id.clone());
        self.open
            .insert(one.hotkey.clone(), one.submission_id.clone());
        Decision::Admit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::status::{Identity, Verdict};

    fn one(id: &str, hotkey: &str, nonce: &str) -> Claimant {
        Claimant {
            path: id.into(),
            submission_id: id.to_owned(),
            hotkey: hotkey.to_owned(),
            nonce: nonce.to_owned(),
        }
    }

    fn earlier(id: &str, at: SystemTime, verdict: Option<Verdict>) -> Status {
        let mut status = Status::new(id, "a.zip", None, at);
        status.hotkey = Some("k".to_owned());
        status.identity = Some(Identity {
            nonce: Some(format!("nonce-of-{id}")),
            ..Identity::default()
        });
        if let Some(verdict) = verdict {
            status.conclude(verdict, None, at);
        }
        status
    }

    #[test]
    fn nonces_are_used_once_by_each_hotkey() {
        let now = SystemTime::now();
        let mut claimants = Claimants::default();
        claimants.add(&earlier("a", now, Some(Verdict::Scored)));
        let settings = Settings::default();
        let mut decide = |claimant: &Claimant| claimants.decide(claimant, &settings, now);
        assert_eq!(
            decide(&one("a", "k", "nonce-of-a")),
            Decision::Admit,
            "the same submission"
        );
        assert_eq!(
            decide(&one("b", "l", "nonce-of-a")),
            Decision::Admit,
            "another hotkey"
        );
        assert_eq!(decide(&one("c", "k", "fresh")), Decision::Admit);
        for (id, nonce) in [("d", "nonce-of-a"), ("d", "fresh")] {
            let decision = decide(&one(id, "k", nonce));
            let Decision::Refuse(reason) = decision else {
                panic!("{decision:?}");
            };
            assert_eq!(reason.rule_id, "prism:nonce-reused");
        }
    }

    #[test]
    fn one_open_and_a_rate() {
        let now = SystemTime::now();
        let settings = Settings {
            one_open: true,
            ..Settings::default()
        };
        for (verdict, waits) in [
            (None, true),
            (Some(Verdict::Held), true),
            (Some(Verdict::Rejected), false),
        ] {
            let mut claimants = Claimants::default();
            claimants.add(&earlier("a", now, verdict));
            let decision = claimants.decide(&one("b", "k", "n"), &settings, now);
            assert_eq!(
                matches!(decision, Decision::Wait(_)),
                waits,
                "{verdict:?}: {decision:?}"
            );
            let next = claimants.decide(&one("c", "k", "m"), &settings, now);
            assert!(
                matches!(next, Decision::Wait(_)),
                "{verdict:?}: the one before is open"
            );
        }
        let settings = Settings {
            rate_limit: 2,
            rate_window_s: 100,
            ..Settings::default()
        };
        let mut claimants = Claimants::default();
        let old = now - Duration::from_secs(101);
        claimants.add(&earlier("a", old, Some(Verdict::Scored)));
        claimants.add(&earlier("b", now, Some(Verdict::Scored)));
        assert_eq!(
            claimants.decide(&one("c", "k", "n"), &settings, now),
            Decision::Admit
        );
        let next = claimants.decide(&one("d", "k", "m"), &settings, now);
        assert!(matches!(next, Decision::Wait(_)), "{next:?}");
        assert_eq!(
            claimants.decide(&one("e", "l", "m"), &settings, now),
            Decision::Admit
        );
    }
}
