//! What lies in an inbox besides plain zips, whose it is, and `prism submit`. Nothing here is measured: the review turns it
//! away, or something before it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::SystemTime;

use prism::bundle;
use prism::digest::{hex, sha256};
use prism::identity::keyfile::Hotkey;
use rustix::fs::{CWD, FileType, Mode};
use serde_json::{Value, json};

use crate::contest::{Contest, finish};
use crate::outbox;
use crate::submissions::{SMALL, training};
use crate::zips;

const SEED: [u8; 32] = [1; 32];

/// Scripts that the review turns away; `text` makes them others.
fn forbidden(text: &str) -> Vec<u8> {
    let architecture = format!("import ctypes  # {text}\n{SMALL}");
    zips::zip(&[
        ("architecture.py", &architecture),
        ("training.py", &training()),
    ])
}

/// A sidecar of this file content.
pub fn sidecar(content: &[u8], nonce: &str) -> Value {
    let hotkey = Hotkey::from_seed(&SEED).unwrap();
    let signed = hotkey.sign(&sha256(content), nonce, SystemTime::now(), 42);
    json!({
        "hotkey": signed.hotkey, "nonce": nonce, "submitted_at": signed.submitted_at,
        "signature": hex(&signed.signature),
    })
}

fn signed(contest: &Contest, name: &str, content: &[u8], nonce: &str) {
    let text = sidecar(content, nonce).to_string();
    contest.submit_bytes(&format!("{name}.meta.json"), text.as_bytes());
    contest.submit_bytes(name, content);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// State and rule of every submission, by name.
fn results(contest: &Contest) -> BTreeMap<String, (String, String)> {
    let found = outbox::submissions(&contest.outbox());
    let one = |submission: &outbox::Submission| {
        let name = submission.status["name"].as_str().unwrap().to_owned();
        (
            name,
            (
                submission.state().to_owned(),
                submission.rule_id().to_owned(),
            ),
        )
    };
    found.iter().map(one).collect()
}

#[test]
fn every_form_is_one_arrival_and_only_a_signature_makes_an_owner() {
    let mut contest = Contest::new(json!({
        "identity": {"mode": "required", "sidecar_wait_ms": 0}, "intake": {"settle_ms": 500},
    }));
    let address = Hotkey::from_seed(&SEED).unwrap().address(42);
    signed(&contest, "zip.zip", &forbidden("zip"), "n1");
    let envelope = |name: &str, metadata: Value| {
        let code = base64(&forbidden(name));
        json!({"filename": "a.zip", "code": code, "metadata": metadata}).to_string()
    };
    let claims = sidecar(&forbidden("within"), "n2");
    contest.submit_bytes("within.json", envelope("within", claims).as_bytes());
    let beside = envelope("beside", json!({}));
    signed(&contest, "beside.json", beside.as_bytes(), "n3");
    signed(&contest, "bare.py", b"import ctypes\n", "n4");
    let folder = contest.inbox().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("architecture.py"),
        format!("import ctypes\n{SMALL}"),
    )
    .unwrap();
    fs::write(folder.join("training.py"), training()).unwrap();
    let packed = bundle::pack(&folder, &bundle::Limits::default()).unwrap();
    let claims = sidecar(&packed, "n5").to_string();
    contest.submit_bytes("folder.meta.json", claims.as_bytes());

    contest.submit_bytes("unsigned.zip", &forbidden("unsigned"));
    contest.submit_bytes(
        "named.zip.meta.json",
        json!({"hotkey": address}).to_string().as_bytes(),
    );
    contest.submit_bytes("named.zip", &forbidden("named"));
    contest.submit_bytes(
        "forged.zip.meta.json",
        sidecar(b"other", "n6").to_string().as_bytes(),
    );
    contest.submit_bytes("forged.zip", &forbidden("forged"));
    contest.submit_bytes("torn.zip.meta.json", b"{\"hotkey\": }");
    contest.submit_bytes("torn.zip", &forbidden("torn"));
    contest.submit_bytes("broken.json", br#"{"code": 1}"#);
    contest.submit_bytes("listing.json", br#"{"files": []}"#);

    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rule = |rule: &str| ("rejected".to_owned(), rule.to_owned());
    let expected = [
        ("bare.py", "prism:contract-missing-entrypoint"),
        ("beside.json", "prism:no-ffi"),
        ("broken.json", "prism:envelope"),
        ("folder", "prism:no-ffi"),
        ("forged.zip", "prism:signature"),
        ("named.zip", "prism:unsigned"),
        ("torn.zip", "prism:claims-malformed"),
        ("unsigned.zip", "prism:unsigned"),
        ("within.json", "prism:no-ffi"),
        ("zip.zip", "prism:no-ffi"),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, id)| (name.to_owned(), rule(id)))
        .collect();
    let mut found = results(&contest);
    if let Some(bare) = found.get_mut("bare.py") {
        // whichever rule it is that one line breaks first
        assert_eq!(bare.0, "rejected");
        bare.1.clone_from(&expected["bare.py"].1);
    }
    assert_eq!(found, expected);
    let ignored = &ran.json()["ignored"];
    assert!(
        ignored
            .to_string()
            .contains("listing.json: it has no `code`"),
        "{ignored:#}"
    );
    for name in ["zip.zip", "within.json", "beside.json", "bare.py", "folder"] {
        let status = contest.submission(name).status;
        assert_eq!(status["hotkey"], *address, "{status:#}");
        assert_eq!(status["identity"]["mode"], "required");
        assert!(status["identity"]["signature"].is_string());
    }
    for name in ["unsigned.zip", "named.zip", "forged.zip", "torn.zip"] {
        let submission = contest.submission(name);
        assert_eq!(
            submission.status["hotkey"],
            Value::Null,
            "{:#}",
            submission.status
        );
        assert!(!submission.path("submission.zip").exists());
    }
    let settings = outbox::read_json(&contest.submission("zip.zip").path("run_config.json"));
    assert_eq!(settings["identity"], json!({"mode": "required"}));

    let before = outbox::snapshot(&contest.outbox());
    let again = contest.run().json();
    assert_eq!(
        (&again["known"], &again["processed"]),
        (&json!(10), &json!([]))
    );
    assert_eq!(outbox::snapshot(&contest.outbox()), before);

    // With `off` nothing beside a file is read: these have no owner, and the known ones are others.
    contest.change(json!({"identity": {"mode": "off"}}));
    contest.submit_bytes("late.zip.meta.json", b"no json");
    contest.submit_bytes("late.zip", &forbidden("late"));
    let ran = contest.run();
    assert!(ran.json()["ignored"].to_string().contains("asks for none"));
    let late = contest.submission("late.zip");
    assert_eq!(
        (late.rule_id(), &late.status["hotkey"]),
        ("prism:no-ffi", &Value::Null)
    );
    assert_eq!(late.status["identity"], json!({"mode": "off"}));
}

#[test]
fn nonces_are_remembered_and_a_limit_leaves_files_where_they_are() {
    let mut contest = Contest::new(json!({
        "identity": {"mode": "optional", "sidecar_wait_ms": 0, "rate_limit": 2}, "intake": {"settle_ms": 500},
    }));
    let first = forbidden("first");
    signed(&contest, "first.zip", &first, "once");
    assert_eq!(contest.run().code, Some(0));
    // the archive of another, with a nonce that was used; then the same with one that was not
    signed(&contest, "second.zip", &forbidden("second"), "once");
    assert_eq!(contest.run().code, Some(0));
    assert_eq!(results(&contest)["second.zip"].1, "prism:nonce-reused");
    let other = contest.submission("second.zip").id().to_owned();
    signed(&contest, "second.zip", &forbidden("second"), "twice");
    assert_eq!(contest.run().code, Some(0));
    let found = outbox::submissions(&contest.outbox());
    assert_eq!(found.len(), 3);
    let second = found
        .iter()
        .find(|one| one.status["name"] == "second.zip" && one.id() != other);
    assert_eq!(second.unwrap().rule_id(), "prism:no-ffi");

    // two of the hotkey's are in: the third stays, and others do not
    signed(&contest, "third.zip", &forbidden("third"), "thrice");
    contest.submit_bytes("unsigned.zip", &forbidden("unsigned"));
    let ran = contest.run();
    assert_eq!(ran.code, Some(0));
    let waiting = ran.json()["waiting"].to_string();
    assert!(
        waiting.contains("third.zip") && waiting.contains("rate_limit"),
        "{waiting}"
    );
    assert!(!results(&contest).contains_key("third.zip"));
    assert_eq!(results(&contest)["unsigned.zip"].1, "prism:no-ffi");
    contest.change(json!({"identity": {"rate_limit": 3, "deny": ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"]}}));
    assert_eq!(contest.run().code, Some(0));
    assert_eq!(results(&contest)["third.zip"].1, "prism:no-ffi");

    // What was taken in stays as it is, whoever may submit from now on.
    let before = outbox::snapshot(&contest.outbox());
    contest
        .change(json!({"identity": {"own_hotkey": Hotkey::from_seed(&SEED).unwrap().address(42)}}));
    assert_eq!(contest.run().json()["processed"], json!([]));
    assert_eq!(outbox::snapshot(&contest.outbox()), before);
    signed(&contest, "fourth.zip", &forbidden("fourth"), "again");
    assert_eq!(contest.run().code, Some(0));
    assert_eq!(results(&contest)["fourth.zip"].1, "prism:hotkey-refused");

    contest.change(json!({"identity": {"own_hotkey": "5Grwva"}}));
    let ran = finish(&mut contest.prism(&["run"]));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("identity.own_hotkey"), "{}", ran.stderr);
}

#[test]
fn what_is_no_file_is_said_once_and_left_alone() {
    let contest = Contest::new(json!({"intake": {"sentinel": "sha256"}}));
    let path = |name: &str| contest.inbox().join(name);
    rustix::fs::mknodat(CWD, path("pipe.zip"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    rustix::fs::mknodat(CWD, path("pipe.json"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = UnixListener::bind(path("socket.py")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path("link.zip")).unwrap();
    fs::File::create(path("huge.zip"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    contest.submit_bytes("huge.zip.sha256", b"");
    contest.submit_bytes("waits.zip", &forbidden("waits"));
    contest.submit_bytes("differs.zip", &forbidden("differs"));
    contest.submit_bytes("differs.zip.sha256", "0".repeat(64).as_bytes());
    contest.submit_bytes("whole.zip", &forbidden("whole"));
    contest.submit_bytes("whole.zip.sha256", sha256(&forbidden("whole")).as_bytes());
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    let lines = |field: &str| -> Vec<String> {
        let lines = report[field].as_array().unwrap().iter();
        let name = |line: &Value| {
            let path = Path::new(line.as_str().unwrap());
            path.file_name().unwrap().to_string_lossy().into_owned()
        };
        lines.map(name).collect()
    };
    assert_eq!(
        lines("waiting"),
        ["waits.zip: its sentinel is not there yet"]
    );
    let ignored = lines("ignored");
    for expected in [
        "link.zip: a symbolic link, not a regular file",
        "pipe.json: a named pipe, not a regular file",
        "pipe.zip: a named pipe, not a regular file",
        "socket.py: a socket, not a regular file",
        "differs.zip: its sentinel has another digest; either may still change",
    ] {
        assert!(
            ignored.iter().any(|line| line == expected),
            "{expected}: {ignored:?}"
        );
    }
    assert_eq!(ignored.len(), 5);
    let found = results(&contest);
    assert_eq!(found.len(), 2);
    assert_eq!(found["huge.zip"].1, "prism:archive-too-large");
    assert_eq!(found["whole.zip"].1, "prism:no-ffi");
}

#[test]
fn submit_packs_reviews_signs_and_drops() {
    let mut contest = Contest::new(json!({}));
    let key = contest.root().join("hotkey");
    fs::write(&key, format!("0x{}\n", hex(&SEED))).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let folder = contest.root().join("mine");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("training.py"), training()).unwrap();
    fs::write(
        folder.join("architecture.py"),
        format!("import ctypes\n{SMALL}"),
    )
    .unwrap();
    let submit = |contest: &Contest, more: &[&str]| {
        let mut command = contest.prism(&["submit", folder.to_str().unwrap(), "--format", "json"]);
        finish(command.args(more))
    };
    let rejected = submit(&contest, &[]);
    assert_eq!(rejected.code, Some(1), "{rejected:?}");
    assert!(rejected.stdout.contains("prism:no-ffi"), "{rejected:?}");
    assert_eq!(fs::read_dir(contest.inbox()).unwrap().count(), 0);

    fs::write(folder.join("architecture.py"), SMALL).unwrap();
    contest.change(json!({"identity": {"mode": "required"}}));
    let unsigned = submit(&contest, &[]);
    assert_eq!(unsigned.code, Some(2), "{unsigned:?}");
    let with_key = ["--sign-with", key.to_str().unwrap()];
    let dropped = submit(&contest, &with_key);
    assert_eq!(dropped.code, Some(0), "{dropped:?}");
    let dropped = dropped.json();
    let address = Hotkey::from_seed(&SEED).unwrap().address(42);
    assert_eq!(dropped["hotkey"], *address);
    let archive = fs::read(contest.inbox().join("mine.zip")).unwrap();
    let id = prism::intake::submission_id(&address, &archive);
    assert_eq!(dropped["submission_id"], id);
    let sidecar = outbox::read_json(&contest.inbox().join("mine.zip.meta.json"));
    let problems: Vec<_> = outbox::validator("submission_meta")
        .iter_errors(&sidecar)
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(fs::read_dir(contest.inbox()).unwrap().count(), 2);

    let taken = submit(&contest, &with_key);
    assert_eq!(taken.code, Some(2), "{taken:?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(submit(&contest, &with_key).code, Some(3));
    let nowhere = contest.root().join("nowhere");
    let nowhere = ["--inbox", nowhere.to_str().unwrap()];
    contest.change(json!({"identity": {"mode": "off"}}));
    assert_eq!(submit(&contest, &nowhere).code, Some(4));
}
