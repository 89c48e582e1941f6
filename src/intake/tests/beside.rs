//! What lies beside a file: sidecars and sentinels; and envelopes.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::super::{
    Content, Customs, IgnoredReason, Inbox, Reading, Seen, Sentinel, WaitReason, read,
};
use super::{EMPTY_ZIP, OLD, SETTLE, inbox_of, put, ready};

const WAIT: Duration = Duration::from_secs(10);

fn with_sidecars(directory: &TempDir) -> Inbox {
    let customs = Customs {
        sidecars: Some(WAIT),
        ..Customs::settling(SETTLE)
    };
    Inbox::new(directory.path(), customs)
}

fn with_sentinels(directory: &TempDir, sentinel: Sentinel) -> Inbox {
    let customs = Customs {
        sentinel,
        ..Customs::settling(SETTLE)
    };
    Inbox::new(directory.path(), customs)
}

fn readings(seen: Vec<Seen>, sentinel: Sentinel) -> Vec<Reading> {
    let candidates = seen.into_iter().filter_map(|seen| match seen {
        Seen::Ready(candidate) => Some(candidate),
        _ => None,
    });
    let read = |candidate| read(&candidate, 1_000, sentinel).expect("a reading");
    candidates.map(read).collect()
}

#[test]
fn a_sidecar_comes_with_its_file_whichever_is_first() {
    for sidecar_first in [true, false] {
        let directory = TempDir::new().expect("a directory");
        let mut inbox = with_sidecars(&directory);
        let (start, wall) = (Instant::now(), SystemTime::now());
        let look = |inbox: &mut Inbox, seconds: u64| {
            let after = Duration::from_secs(seconds);
            inbox
                .look_at(start + after, wall + after)
                .expect("an inbox")
        };
        let mut parts: [(&str, &[u8]); 2] = [("a.zip.meta.json", b"{}"), ("a.zip", EMPTY_ZIP)];
        if !sidecar_first {
            parts.reverse();
        }
        let [first, second] = parts;
        put(&directory, first.0, first.1, OLD);
        assert_eq!(ready(&look(&mut inbox, 0)), [""; 0]);
        let waiting = look(&mut inbox, 3);
        let waits_for_sidecar = waiting.iter().any(|seen| {
            matches!(
                seen,
                Seen::Waiting {
                    reason: WaitReason::NoSidecar,
                    ..
                }
            )
        });
        assert_eq!(waits_for_sidecar, !sidecar_first, "{waiting:?}");
        put(&directory, second.0, second.1, OLD);
        let seen = look(&mut inbox, 4);
        assert_eq!(ready(&seen), ["a.zip"]);
        let Reading::Delivery(delivery) = &readings(seen, Sentinel::None)[0] else {
            panic!("not read");
        };
        assert_eq!(delivery.sidecar.as_deref(), Some(&b"{}"[..]));
        // another sidecar is another state of the submission
        put(&directory, "a.zip.meta.json", b"{ }", OLD);
        assert_eq!(ready(&look(&mut inbox, 5)), ["a.zip"]);
    }
}

#[test]
fn a_file_waits_for_its_sidecar_and_then_goes_without() {
    let directory = TempDir::new().expect("a directory");
    put(&directory, "a.zip", EMPTY_ZIP, OLD);
    let mut inbox = with_sidecars(&directory);
    let (start, wall) = (Instant::now(), SystemTime::now());
    let mut look = |seconds: u64| {
        let after = Duration::from_secs(seconds);
        inbox
            .look_at(start + after, wall + after)
            .expect("an inbox")
    };
    assert_eq!(ready(&look(0)), [""; 0]);
    assert_eq!(ready(&look(9)), [""; 0]);
    let seen = look(11);
    assert_eq!(ready(&seen), ["a.zip"]);
    let Reading::Delivery(delivery) = &readings(seen, Sentinel::None)[0] else {
        panic!("not read");
    };
    assert_eq!(delivery.sidecar, None);
}

#[test]
fn a_sidecar_that_is_half_written_is_waited_for() {
    let directory = TempDir::new().expect("a directory");
    let age = Duration::from_secs(5);
    put(&directory, "a.zip", EMPTY_ZIP, age);
    put(&directory, "a.zip.meta.json", b"{\"hotkey\": ", age);
    let mut inbox = with_sidecars(&directory);
    assert_eq!(ready(&inbox.look().expect("an inbox")), [""; 0]);
    put(&directory, "a.zip.meta.json", b"{\"hotkey\": \"5\"}\n", age);
    assert_eq!(ready(&inbox.look().expect("an inbox")), ["a.zip"]);
}

#[test]
fn what_lies_there_alone_is_mentioned_after_a_while_and_what_nobody_asks_for_at_once() {
    let directory = TempDir::new().expect("a directory");
    let lone = put(&directory, "gone.zip.meta.json", b"{}", OLD);
    let mut inbox = with_sidecars(&directory);
    assert_eq!(inbox.look().expect("an inbox"), []);
    let later = Duration::from_secs(61);
    let seen = inbox.look_at(Instant::now() + later, SystemTime::now() + later);
    let said = Seen::Ignored {
        path: lone,
        reason: IgnoredReason::Lone,
    };
    assert_eq!(seen.expect("an inbox"), [said]);
    let directory = TempDir::new().expect("a directory");
    for name in ["a.zip.meta.json", "a.zip.ready", "a.zip.sha256"] {
        put(&directory, name, b"", OLD);
    }
    let seen = inbox_of(&directory).look().expect("an inbox");
    let ignored = |seen: &Seen| {
        matches!(
            seen,
            Seen::Ignored {
                reason: IgnoredReason::NotAskedFor,
                ..
            }
        )
    };
    assert!(seen.len() == 3 && seen.iter().all(ignored), "{seen:?}");
}

#[test]
fn a_sentinel_is_enough_and_needed() {
    let directory = TempDir::new().expect("a directory");
    // as young as can be
    put(&directory, "a.zip", b"any bytes", Duration::ZERO);
    put(&directory, "old.zip", EMPTY_ZIP, OLD);
    let mut inbox = with_sentinels(&directory, Sentinel::Ready);
    let seen = inbox.look().expect("an inbox");
    let waits = |seen: &Seen| {
        matches!(
            seen,
            Seen::Waiting {
                reason: WaitReason::NoSentinel,
                ..
            }
        )
    };
    assert!(seen.len() == 2 && seen.iter().all(waits), "{seen:?}");
    put(&directory, "a.zip.ready", b"", Duration::ZERO);
    assert_eq!(ready(&inbox.look().expect("an inbox")), ["a.zip"]);
}

#[test]
fn a_digest_is_that_of_the_file_or_the_file_stays() {
    let directory = TempDir::new().expect("a directory");
    put(&directory, "a.zip", EMPTY_ZIP, Duration::ZERO);
    let digest = "8739C76e681f900923b900c9df0ef75cf421d39cabb54650c4b9ad19b6a76d85";
    let mut inbox = with_sentinels(&directory, Sentinel::Sha256);
    let wrong = [
        String::new(),
        "0".repeat(64),
        format!("{digest}0"),
        digest[1..].to_owned(),
    ];
    for text in wrong {
        put(&directory, "a.zip.sha256", text.as_bytes(), Duration::ZERO);
        let seen = inbox.look().expect("an inbox");
        let read = readings(seen, Sentinel::Sha256);
        assert_eq!(read, [Reading::NotItsSentinel], "{text}");
    }
    for text in [
        digest.to_owned(),
        format!("{digest}  a.zip\n"),
        format!("\\{digest} *a\\n"),
    ] {
        put(&directory, "a.zip.sha256", text.as_bytes(), Duration::ZERO);
        let read = readings(inbox.look().expect("an inbox"), Sentinel::Sha256);
        assert!(matches!(read[..], [Reading::Delivery(_)]), "{text}");
    }
}

#[test]
fn envelopes_are_opened_and_other_json_is_left_alone() {
    let directory = TempDir::new().expect("a directory");
    put(
        &directory,
        "a.json",
        br#"{"code": "x = 1", "metadata": {"team": "b"}}"#,
        OLD,
    );
    put(&directory, "b.json", br#"{"code": 1}"#, OLD);
    put(&directory, "c.json", br#"{"kind": "listing"}"#, OLD);
    put(&directory, "d.json", &vec![b' '; 70_000], OLD);
    let read = readings(
        inbox_of(&directory).look().expect("an inbox"),
        Sentinel::None,
    );
    let [
        Reading::Delivery(source),
        Reading::Delivery(broken),
        Reading::NotSubmission(_),
        Reading::Oversized(_),
    ] = &read[..]
    else {
        panic!("{read:?}");
    };
    assert_eq!(source.content, Content::Source(b"x = 1".to_vec()));
    assert_eq!(source.metadata["team"], "b");
    assert!(matches!(broken.content, Content::Broken(_)));
}

#[test]
fn a_sidecar_that_changed_meanwhile_takes_its_file_with_it() {
    let directory = TempDir::new().expect("a directory");
    put(&directory, "a.zip", EMPTY_ZIP, OLD);
    let sidecar = put(&directory, "a.zip.meta.json", b"{}", OLD);
    let seen = with_sidecars(&directory).look().expect("an inbox");
    fs::write(&sidecar, "{ }").expect("a write");
    assert_eq!(readings(seen, Sentinel::None), [Reading::Changed]);
}
