//! Figures for Prometheus: a text file that the node exporter's textfile collector reads. Written whole or not at all.
//!
//! Ages are given as times, so that they are right however long ago the file was written: `time() - prism_…_timestamp_seconds`.

mod textfile;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::statvfs;

use crate::outbox::status::{State, Status, Verdict};
use crate::pipeline::queue;
use textfile::TextFile;

/// What the last pass over inbox and queue came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct LastRun {
    /// None: there was none yet.
    pub ended_at: Option<SystemTime>,
    pub took: Duration,
    /// Things that the infrastructure kept from being done.
    pub failures: usize,
}

/// What the figures are made of.
#[derive(Debug)]
pub struct Facts<'a> {
    pub statuses: &'a [Status],
    /// Statuses that cannot be read.
    pub unreadable: usize,
    /// Requests of the operator that nobody took yet.
    pub requests: usize,
    pub last_run: LastRun,
    pub outbox: &'a Path,
    pub now: SystemTime,
}

const STATES: [State; 9] = [
    State::Received,
    State::Bundled,
    State::Reviewed,
    State::Measuring,
    State::Measured,
    State::Scored,
    State::Rejected,
    State::Failed,
    State::Held,
];

const VERDICTS: [Verdict; 4] = [
    Verdict::Scored,
    Verdict::Rejected,
    Verdict::Failed,
    Verdict::Held,
];

/// The file's text.
pub fn text(facts: &Facts<'_>) -> String {
    let mut file = TextFile::default();
    file.gauge("prism_info", "Version of prism that wrote this.");
    file.sample("prism_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    file.gauge("prism_written_timestamp_seconds", "When this was written.");
    file.sample("prism_written_timestamp_seconds", &[], seconds(facts.now));
    submissions(&mut file, facts);
    the_queue(&mut file, facts);
    durations(&mut file, facts.statuses);
    last_run(&mut file, &facts.last_run);
    disk(&mut file, facts.outbox);
    file.into_text()
}

fn submissions(file: &mut TextFile, facts: &Facts<'_>) {
    let count = |is: &dyn Fn(&Status) -> bool| {
        facts.statuses.iter().filter(|status| is(status)).count() as f64
    };
    file.gauge("prism_submissions", "Submissions in the outbox, by state.");
    for state in STATES {
        let number = count(&|status| status.state == state);
        file.sample("prism_submissions", &[("state", state.name())], number);
    }
    file.gauge("prism_verdicts", "Submissions with a verdict, by verdict.");
    for verdict in VERDICTS {
        let number = count(&|status| status.verdict == Some(verdict));
        file.sample("prism_verdicts", &[("verdict", verdict.name())], number);
    }
    file.gauge(
        "prism_unreadable_statuses",
        "Submissions that stand still because their status cannot be read.",
    );
    file.sample("prism_unreadable_statuses", &[], facts.unreadable as f64);
}

fn the_queue(file: &mut TextFile, facts: &Facts<'_>) {
    let (mut running, mut waiting, mut resting) = (0, 0, 0);
    let mut oldest: Option<f64> = None;
    for status in facts.statuses.iter().filter(|status| queue::waits(status)) {
        if status.state != State::Reviewed {
            running += 1;
            continue;
        }
        if queue::rest(status, facts.now).is_some() {
            resting += 1;
        } else {
            waiting += 1;
        }
        if let Some(at) = instant(&status.accepted_at) {
            oldest = Some(oldest.map_or(at, |before| before.min(at)));
        }
    }
    file.gauge(
        "prism_queue_depth",
        "Submissions for the device: on it, ready for it, or to be tried again later.",
    );
    for (name, number) in [
        ("running", running),
        ("waiting", waiting),
        ("resting", resting),
    ] {
        file.sample("prism_queue_depth", &[("queue", name)], f64::from(number));
    }
    if let Some(oldest) = oldest {
        file.gauge(
            "prism_oldest_waiting_timestamp_seconds",
            "When the submission that waits longest for the device was accepted.",
        );
        file.sample("prism_oldest_waiting_timestamp_seconds", &[], oldest);
    }
    file.gauge(
        "prism_requests_waiting",
        "Requests of the operator that nobody took yet.",
    );
    file.sample("prism_requests_waiting", &[], facts.requests as f64);
}

/// From states to times: how long the reviews and the runs of all submissions took.
fn durations(file: &mut TextFile, statuses: &[Status]) {
    let (mut reviews, mut runs) = (Vec::new(), Vec::new());
    for status in statuses {
        reviews.extend(between(
            status,
            State::Received,
            &[State::Reviewed, State::Rejected],
        ));
        let ends = [State::Scored, State::Failed, State::Rejected, State::Held];
        runs.extend(between(status, State::Measuring, &ends));
    }
    for (name, help, all) in [
        (
            "prism_review_duration_seconds",
            "From a submission's arrival to the verdict of its review.",
            reviews,
        ),
        (
            "prism_run_duration_seconds",
            "From the beginning of a submission's last run to its verdict.",
            runs,
        ),
    ] {
        file.summary(name, help, all.iter().sum(), all.len());
    }
}

/// Seconds from the last time a state was entered to one of those that may follow it.
fn between(status: &Status, from: State, to: &[State]) -> Option<f64> {
    let transitions = &status.transitions;
    let begun = transitions.iter().rposition(|step| step.state == from)?;
    let ended = transitions[begun..]
        .iter()
        .find(|step| to.contains(&step.state))?;
    let elapsed = instant(&ended.at)? - instant(&transitions[begun].at)?;
    // The clock was set back.
    Some(elapsed.max(0.0))
}

fn last_run(file: &mut TextFile, last: &LastRun) {
    let Some(ended_at) = last.ended_at else {
        return;
    };
    for (name, help, value) in [
        (
            "prism_last_run_timestamp_seconds",
            "When the last pass over inbox and queue ended.",
            seconds(ended_at),
        ),
        (
            "prism_last_run_duration_seconds",
            "How long it took.",
            last.took.as_secs_f64(),
        ),
        (
            "prism_last_run_failures",
            "What the infrastructure kept it from doing.",
            last.failures as f64,
        ),
        (
            "prism_last_run_success",
            "1: nothing.",
            f64::from(u8::from(last.failures == 0)),
        ),
    ] {
        file.gauge(name, help);
        file.sample(name, &[], value);
    }
}

fn disk(file: &mut TextFile, outbox: &Path) {
    let Ok(facts) = statvfs(outbox) else {
        return;
    };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    file.gauge(
        "prism_outbox_free_bytes",
        "Room on the outbox's file system.",
    );
    file.sample("prism_outbox_free_bytes", &[], free as f64);
    file.gauge("prism_outbox_free_inodes", "Inodes left on it.");
    file.sample("prism_outbox_free_inodes", &[], facts.f_favail as f64);
}

fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64 / 1_000.0
}

fn instant(text: &str) -> Option<f64> {
    humantime::parse_rfc3339(text).ok().map(seconds)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::outbox::status::{INFRASTRUCTURE, Reason};

    /// Reads the exposition format as strictly as it is defined; samples by name with labels.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, _) = help.split_once(' ').unwrap();
                assert!(helped.insert(name.to_owned()), "{line}");
                continue;
            }
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name), "{line}");
                assert!(["gauge", "summary"].contains(&kind), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none());
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(is_name), "{line}");
            let base = name.trim_end_matches("_sum").trim_end_matches("_count");
            assert!(
                types.contains_key(base) || types.contains_key(name),
                "{line}"
            );
            if let Some(labels) = series[name.len()..].strip_prefix('{') {
                let (label, quoted) = labels.strip_suffix('}').unwrap().split_once('=').unwrap();
                assert!(label.chars().all(is_name), "{line}");
                assert!(quoted.starts_with('"') && quoted.ends_with('"'), "{line}");
            }
            let value = value.parse().unwrap();
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line}");
        }
        samples
    }

    #[test]
    fn figures_of_an_outbox_are_in_the_format() {
        let then = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let at = |s| then + Duration::from_secs(s);
        let mut all: Vec<Status> = ["a", "b", "c", "d", "e"]
            .iter()
            .zip(0..)
            .map(|(id, s)| Status::new(id, "n.zip", None, at(s)))
            .collect();
        let reason = || {
            Some(Reason {
                rule_id: INFRASTRUCTURE.into(),
                message: "m".into(),
                hint: "h".into(),
            })
        };
        all[0].advance(State::Reviewed, at(10));
        all[0].advance(State::Measuring, at(20));
        all[0].conclude(Verdict::Scored, None, at(50));
        all[1].conclude(Verdict::Rejected, reason(), at(3));
        all[2].advance(State::Reviewed, at(12));
        all[3].advance(State::Reviewed, at(12));
        all[3].queue.not_before = Some(crate::outbox::status::rfc3339(at(500)));
        all[4].conclude(Verdict::Held, reason(), at(9));
        let folder = tempfile::tempdir().unwrap();
        let mut facts = Facts {
            statuses: &all,
            unreadable: 1,
            requests: 2,
            last_run: LastRun::default(),
            outbox: folder.path(),
            now: at(100),
        };
        assert!(!text(&facts).contains("last_run"));
        facts.last_run = LastRun {
            ended_at: Some(at(60)),
            took: Duration::from_millis(1_500),
            failures: 3,
        };
        let samples = parse(&text(&facts));
        for (series, value) in [
            ("prism_submissions{state=\"scored\"}", 1.0),
            ("prism_submissions{state=\"reviewed\"}", 2.0),
            ("prism_submissions{state=\"failed\"}", 0.0),
            ("prism_verdicts{verdict=\"held\"}", 1.0),
            ("prism_queue_depth{queue=\"waiting\"}", 1.0),
            ("prism_queue_depth{queue=\"resting\"}", 1.0),
            ("prism_queue_depth{queue=\"running\"}", 0.0),
            ("prism_oldest_waiting_timestamp_seconds", 1_800_000_002.0),
            ("prism_review_duration_seconds_count", 4.0),
            ("prism_review_duration_seconds_sum", 31.0),
            ("prism_run_duration_seconds_count", 1.0),
            ("prism_run_duration_seconds_sum", 30.0),
            ("prism_last_run_duration_seconds", 1.5),
            ("prism_last_run_success", 0.0),
            ("prism_unreadable_statuses", 1.0),
            ("prism_requests_waiting", 2.0),
        ] {
            assert_eq!(samples.get(series), Some(&value), "{series}: {samples:#?}");
        }
        assert!(samples["prism_outbox_free_bytes"] > 0.0);
    }
}
