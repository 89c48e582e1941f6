//! A signed run, copied away, audited, damaged, exported, plotted and executed again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::contest::{Contest, Ran, finish, prism, turn};
use crate::outbox::{read_json, validator};
use crate::submissions::{SMALL, training};

#[test]
fn a_signed_run_is_audited_far_from_home() {
    let mut contest = Contest::new(json!({}));
    let key = contest.root().join("contest.key");
    let made = finish(
        contest
            .prism(&["keys", "generate", "--format", "json"])
            .arg(&key),
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    let public = made.json()["public_key"].as_str().unwrap().to_owned();
    contest.change(json!({"keys": {"signing_key": key}}));
    contest.submit("honest.zip", SMALL, &training());
    a_key_that_others_may_read_stops_the_run(&contest, &key);
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let submission = contest.submission("honest.zip");
    assert_eq!(submission.state(), "scored");
    the_secret_is_nowhere(&contest, &key, &ran);

    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join(submission.id());
    copy_files(&submission.folder, &copy);
    a_copy_is_consistent(&copy, &public);
    damage_is_found(&copy);
    streams_that_were_made_to_hurt_are_a_finding(&copy, elsewhere.path());
    an_archive_is_as_good_as_the_folder(&copy, &submission.folder, elsewhere.path());
    it_can_be_plotted(&copy, elsewhere.path());
    executed_again_it_is_the_same(&contest, &copy);
}

fn audit(arguments: &[&str], run: &Path) -> Ran {
    let mut command = prism(["audit", "--format", "json"]);
    command.args(arguments).arg(run).current_dir("/");
    finish(&mut command)
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap().flatten() {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn a_key_that_others_may_read_stops_the_run(contest: &Contest, key: &Path) {
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = finish(&mut contest.prism(&["run"]));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("expected 0600"), "{ran:?}");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
}

fn the_secret_is_nowhere(contest: &Contest, key: &Path, ran: &Ran) {
    let line = fs::read_to_string(key).unwrap();
    let secret = line.trim().rsplit(':').next().unwrap();
    assert_eq!(secret.len(), 64);
    let shown = finish(&mut contest.prism(&["config"]));
    let public = finish(&mut contest.prism(&["keys", "show"]));
    for text in [&ran.stdout, &ran.stderr, &shown.stdout, &public.stdout] {
        assert!(!text.contains(secret));
    }
    for (path, facts) in crate::outbox::snapshot(&contest.outbox()) {
        let text = String::from_utf8_lossy(&facts.3).into_owned();
        assert!(!text.contains(secret), "{}", path.display());
    }
}

fn a_copy_is_consistent(copy: &Path, public: &str) {
    let first = audit(&[], copy);
    assert_eq!(first.code, Some(0), "{first:?}");
    let report = first.json();
    assert!(validator("audit_report").is_valid(&report), "{report:#}");
    assert_eq!(report["runs"][0]["verdict"], "consistent");
    assert_eq!(report["runs"][0]["signed_by"], public);
    let outcomes = report["runs"][0]["checks"].as_array().unwrap();
    for check in outcomes {
        assert_eq!(check["outcome"], "passed", "{check:#}");
    }
    assert_eq!(audit(&[], copy).stdout, first.stdout);
    assert_eq!(audit(&["--public-key", public], copy).code, Some(0));
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let stranger = audit(&["--public-key", other], copy);
    assert_eq!(stranger.code, Some(1), "{stranger:?}");
    assert!(stranger.stdout.contains("not among known keys"));
    assert_eq!(audit(&["--public-key", "nonsense"], copy).code, Some(2));
}

fn damage_is_found(copy: &Path) {
    let path = copy.join("run.log");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    let ran = audit(&[], copy);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("run.log"));
    fs::write(&path, whole).unwrap();
    assert_eq!(audit(&[], copy).code, Some(0));
    assert_eq!(audit(&[], Path::new("/nowhere/at/all")).code, Some(4));
}

/// Somebody without the key makes the seal anew around a damaged parquet file: the decoder may not survive it, the
/// audit does.
fn streams_that_were_made_to_hurt_are_a_finding(copy: &Path, elsewhere: &Path) {
    let hostile = elsewhere.join("hostile");
    copy_files(copy, &hostile);
    fs::remove_file(hostile.join("signature.json")).unwrap();
    let whole = fs::read(copy.join("online_loss.parquet")).unwrap();
    for part in 0..8 {
        let mut damaged = whole.clone();
        let place = (whole.len() - 9) * (part + 1) / 8;
        damaged[place] ^= 0x55;
        fs::write(hostile.join("online_loss.parquet"), &damaged).unwrap();
        let digest = prism::digest::sha256(&damaged);
        let manifest = "prism_run_manifest.v2.json";
        edit(&hostile.join(manifest), |value| {
            value["measurement"]["streams"]["online_sha256"] = json!(digest);
        });
        let manifest_digest = prism::digest::sha256(&fs::read(hostile.join(manifest)).unwrap());
        edit(&hostile.join("digests.json"), |list| {
            list["signed_by"] = Value::Null;
            for (name, digest) in [
                ("online_loss.parquet", &digest),
                (manifest, &manifest_digest),
            ] {
                let entries = list["files"].as_array_mut().unwrap();
                let entry = entries.iter_mut().find(|entry| entry["path"] == name);
                entry.unwrap()["sha256"] = json!(digest);
            }
        });
        let ran = audit(&[], &hostile);
        assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
        let checks = ran.json()["runs"][0]["checks"].clone();
        let outcome = |name: &str| {
            let all = checks.as_array().unwrap();
            all.iter().find(|check| check["name"] == name).unwrap()["outcome"].clone()
        };
        assert_eq!(outcome("digests"), "passed", "{ran:?}");
        // a bit that the decoder ignores changes no row, so every block is made again from it
        let is_ignored = outcome("streams") == "passed";
        assert_eq!(ran.code, Some(i32::from(!is_ignored)), "{ran:?}");
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = read_json(path);
    change(&mut value);
    fs::write(
        path,
        format!("{}\n", serde_json::to_string_pretty(&value).unwrap()),
    )
    .unwrap();
}

fn export(run: &Path, output: &PathBuf) {
    let ran = finish(prism(["export"]).arg(run).arg("--output").arg(output));
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn an_archive_is_as_good_as_the_folder(copy: &Path, original: &Path, elsewhere: &Path) {
    let [one, two] = ["one.tar.zst", "two.tar.zst"].map(|name| elsewhere.join(name));
    export(copy, &one);
    export(original, &two);
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap());
    assert_eq!(audit(&[], &one).stdout, audit(&[], copy).stdout);
    let mut bytes = fs::read(&one).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&one, bytes).unwrap();
    let ran = audit(&[], &one);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_eq!(ran.json()["unreadable"], 1);
}

fn it_can_be_plotted(copy: &Path, elsewhere: &Path) {
    for (name, beginning) in [
        ("loss.svg", &b"<svg"[..]),
        ("loss.png", b"\x89PNG\r\n\x1a\n"),
    ] {
        let [one, two] = ["a", "b"].map(|part| elsewhere.join(format!("{part}-{name}")));
        for output in [&one, &two] {
            let ran = finish(prism(["plot"]).arg(copy).arg("--output").arg(output));
            assert_eq!(ran.code, Some(0), "{ran:?}");
        }
        let bytes = fs::read(&one).unwrap();
        assert!(bytes.starts_with(beginning), "{name}");
        assert!(bytes == fs::read(&two).unwrap(), "{name}");
    }
}

fn executed_again_it_is_the_same(contest: &Contest, copy: &Path) {
    let mut command = contest.prism(&["audit", "--reexecute", "--format", "json"]);
    command.arg(copy);
    let ran = {
        let _turn = turn();
        contest.run_in_turn(command)
    };
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let again = ran.json()["runs"][0]["reexecution"].clone();
    assert_eq!(again["result"], "identical", "{again:#}");
    // another corpus is another run
    let manifest = contest.corpus().join("MANIFEST.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{text}\n")).unwrap();
    let mut command = contest.prism(&["audit", "--reexecute", "--format", "json"]);
    let ran = finish(command.arg(copy));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let again = ran.json()["runs"][0]["reexecution"].clone();
    assert_eq!(again["result"], "not_possible", "{again:#}");
    assert!(validator("audit_report").is_valid(&ran.json()));
}
