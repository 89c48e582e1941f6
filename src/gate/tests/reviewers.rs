//! Reviewers that are right, slow, wrong, busy, broken or gone.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, getsockname, socket};
use serde_json::{Value, json};

use super::super::fixture::{bundle, completion, evidence};
use super::server::{Habit, Server, response};
use super::*;

fn allow() -> String {
    completion("allow", &[]).to_string()
}

#[test]
fn the_reviewer_is_asked_as_the_api_wants_it_and_its_verdict_counts() {
    let server = Server::answering("200 OK", "", &allow());
    let scene = Scene::http(&server.address);
    let bundle = bundle(&[("notes.md", "plain\n")]);
    let ruling = scene.review(&bundle);
    assert_eq!(word(&ruling), "allowed");
    scene.keeps_its_secret(&ruling);
    let asked = server.requests();
    let [request] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert!(
        request
            .head
            .starts_with("POST /api/v1/chat/completions HTTP/1.1\r\n"),
        "{request:?}"
    );
    let head = request.head.to_ascii_lowercase();
    assert!(
        head.contains(&format!("authorization: bearer {KEY}\r\n")),
        "{head}"
    );
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["model"], "vendor/model");
    assert_eq!(body["tool_choice"]["function"]["name"], "submit_verdict");
    assert_eq!(body["tools"][0]["function"]["strict"], true);
    let shown = body["messages"][1]["content"].as_str().unwrap();
    for line in [
        "    1| plain",
        "    1| def build_model(ctx):",
        "    1| def train(ctx):",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let record = ruling.record.unwrap();
    assert_eq!(record.request_sha256, sha256(&request.body));
    assert!(record.problems(&bundle).is_empty());
    let circumstances = record.circumstances.unwrap();
    assert_eq!(circumstances.source, Source::Http);
    assert_eq!(circumstances.served_model.as_deref(), Some("served-model"));
}

#[test]
fn a_reject_carries_its_evidence() {
    let found = evidence("words.py", 2, "TABLE = [1, 2]");
    let server = Server::answering(
        "200 OK",
        "",
        &completion("reject", &[found.clone(), found]).to_string(),
    );
    let scene = Scene::http(&server.address);
    let ruling = scene.review(&bundle(&[("words.py", "x = 1\nTABLE = [1, 2]\n")]));
    assert_eq!(word(&ruling), "rejected prism:llm-gate");
    let expected = "words.py:2: smuggled-knowledge: It carries a table of words. (and 1 more)";
    assert_eq!(message(&ruling), expected);
}

#[test]
fn whatever_is_no_answer_holds() {
    let sends =
        |status: &str, headers: &str, body: &str| Habit::Sends(response(status, headers, body));
    let cut_off = |bytes: &str| Habit::Sends(bytes.as_bytes().to_vec());
    let echo = json!({"choices": [], "you_sent": KEY}).to_string();
    let no_call = json!({"choices": [{"message": {"content": "I allow it."}}]}).to_string();
    // The key again, where no search of the bytes finds it.
    let mut hidden = evidence("a.py", 1, "x");
    hidden["explanation"] = json!(format!("{KEY} is the key"));
    let hidden = completion("reject", &[hidden])
        .to_string()
        .replace("sk-", "\\\\u0073k-");
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (habit, part) in [
        (sends("200 OK", "", "<html>"), "no JSON"),
        (sends("200 OK", "", &hidden), "sends the key back"),
        (sends("200 OK", "", "{}"), "no choice"),
        (sends("200 OK", "", &no_call), "expected one call"),
        (sends("200 OK", "", &echo), "sends the key back"),
        (
            sends(
                "200 OK",
                "",
                &format!("{{\"error\":{{\"code\":429,\"message\":\"{KEY} is wrong\"}}}}"),
            ),
            "sends the key back",
        ),
        (
            sends("200 OK", "", "{\"error\":{\"code\":429}}"),
            "reports an error 429",
        ),
        (
            sends("401 Unauthorized", "", &format!("bad key {KEY}")),
            "status 401",
        ),
        (sends("404 Not Found", "", ""), "status 404"),
        (
            sends("500 Internal Server Error", "", &allow()),
            "status 500",
        ),
        (sends("503 Service Unavailable", "", ""), "status 503"),
        (
            sends("302 Found", "location: http://127.0.0.1:9/\r\n", ""),
            "redirects elsewhere (status 302)",
        ),
        (
            sends("307 Temporary Redirect", "location: /elsewhere\r\n", ""),
            "status 307",
        ),
        (
            sends("308 Permanent Redirect", "location: /elsewhere\r\n", ""),
            "status 308",
        ),
        (
            cut_off("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\""),
            "cut off",
        ),
        (cut_off(&format!("{chunked}5\r\n{{\"a\":")), "cut off"),
        (cut_off(&format!("{chunked}zz\r\n")), "cut off"),
        (
            cut_off("HTTP/1.1 200 OK\r\ncontent-le"),
            "cannot be reached",
        ),
        (cut_off(""), "cannot be reached"),
        (cut_off("220 smtp.example ESMTP\r\n"), "cannot be reached"),
        (
            Habit::Floods(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            "longer than 2000 bytes",
        ),
        (
            Habit::Floods(b"HTTP/1.1 200 OK\r\nx: ".to_vec()),
            "cannot be reached",
        ),
    ] {
        let server = Server::with(vec![habit]);
        let mut scene = Scene::http(&server.address);
        scene.gate.max_answer_bytes = 2_000;
        let ruling = scene.review(&bundle(&[]));
        assert_eq!(
            word(&ruling),
            "held prism:llm-gate-unavailable",
            "{part}: {ruling:?}"
        );
        assert!(message(&ruling).contains(part), "{part}: {ruling:?}");
        let Outcome::Held(hold) = &ruling.outcome else {
            panic!("{ruling:?}");
        };
        assert!(hold.is_asked_again && hold.is_infrastructure);
        scene.keeps_its_secret(&ruling);
        assert_eq!(
            server.requests().len(),
            1,
            "nobody is asked twice, here or elsewhere: {part}"
        );
        assert!(!scene.outbox().join(".gate").exists(), "{part}");
    }
}

#[test]
fn a_reviewer_that_is_slow_gone_or_busy_is_left_alone_for_a_while() {
    for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
        let server = Server::with(vec![Habit::Hangs(bytes.as_bytes().to_vec())]);
        let mut scene = Scene::http(&server.address);
        scene.gate.timeout_s = 1;
        let ruling = scene.review(&bundle(&[]));
        assert_eq!(message(&ruling), "the reviewer did not answer within 1 s");
    }
    let server = Server::with(vec![Habit::Hangs(Vec::new())]);
    let stopped = Scene::http(&server.address).review_until(&bundle(&[]), &|| true);
    assert!(matches!(stopped, Err(GateError::Stopped)));

    // A port that is taken, and at which nobody listens.
    let taken = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&taken, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddrV4::try_from(getsockname(&taken).unwrap()).unwrap();
    let ruling = Scene::http(&address.to_string()).review(&bundle(&[]));
    assert!(message(&ruling).contains("refused"), "{ruling:?}");
    assert_eq!(word(&ruling), "held prism:llm-gate-unavailable");

    let server = Server::answering("429 Too Many Requests", "retry-after: 77\r\n", "");
    let ruling = Scene::http(&server.address).review(&bundle(&[]));
    let Outcome::Held(hold) = &ruling.outcome else {
        panic!("{ruling:?}");
    };
    assert_eq!(hold.retry_after, Some(Duration::from_secs(77)));
    assert_eq!(hold.message, "the reviewer answered with status 429");
}

#[test]
fn only_a_configured_proxy_is_used() {
    let proxy = Server::answering("502 Bad Gateway", "", "");
    let server = Server::answering("200 OK", "", &allow());
    let mut scene = Scene::http(&server.address);
    scene.gate.proxy = Some(format!("http://{}", proxy.address));
    let ruling = scene.review(&bundle(&[]));
    assert_eq!(word(&ruling), "held prism:llm-gate-unavailable");
    assert!(server.requests().is_empty());
    scene.gate.proxy = None;
    assert_eq!(word(&scene.review(&bundle(&[]))), "allowed");
}

#[test]
fn a_key_or_a_certificate_that_cannot_be_used_is_a_reason_to_wait() {
    let mut scene = Scene::http("127.0.0.1:9");
    std::fs::remove_file(scene.root().join("key")).unwrap();
    let ruling = scene.review(&bundle(&[]));
    assert_eq!(word(&ruling), "held prism:llm-gate-unavailable");
    assert!(message(&ruling).contains("cannot be used"), "{ruling:?}");

    // A server that speaks no TLS where some is expected.
    let server = Server::answering("200 OK", "", &allow());
    scene.gate.api_key_file = None;
    scene.gate.base_url = format!("https://{}", server.address);
    let ruling = scene.review(&bundle(&[]));
    assert_eq!(
        word(&ruling),
        "held prism:llm-gate-unavailable",
        "{ruling:?}"
    );
    assert!(server.requests().is_empty());
}

#[test]
fn a_program_answers_like_a_server() {
    let answer = completion("allow", &[]);
    let scene = Scene::command("cat > \"$0.asked\"; cat \"$0\"");
    let file = scene.root().join("answer");
    std::fs::write(&file, answer.to_string()).unwrap();
    let mut gate = scene.gate.clone();
    gate.command.push(file.display().to_string());
    let scene = Scene { gate, ..scene };
    let ruling = scene.review(&bundle(&[]));
    assert_eq!(word(&ruling), "allowed", "{ruling:?}");
    let asked = std::fs::read(scene.root().join("answer.asked")).unwrap();
    assert_eq!(ruling.record.unwrap().request_sha256, sha256(&asked));

    for (script, part) in [
        ("echo hello", "no JSON"),
        ("exit 1", "exit code 1"),
        ("kill -11 $$", "signal 11"),
        ("yes", "longer than"),
    ] {
        let ruling = Scene::command(script).review(&bundle(&[]));
        assert_eq!(word(&ruling), "held prism:llm-gate-unavailable", "{script}");
        assert!(message(&ruling).contains(part), "{ruling:?}");
    }
    let stopped = Scene::command("sleep 1000").review_until(&bundle(&[]), &|| true);
    assert!(matches!(stopped, Err(GateError::Stopped)));
}
