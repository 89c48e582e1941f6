//! The wire as an attack surface: hostile bytes against the decoder, hostile frames in any order against a connection.
//!
//! `PRISM_FUZZ_CASES` sets the number of cases of each property (`just fuzz-wire` runs millions); without it a bounded
//! number runs with the other tests.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::Config;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::Value;

use super::connection::Connection;
use super::measured::Fault;
use super::shm::Geometry;
use super::stop::Stop;
use super::wire::{self, FromReferee, FromRunner, MAX_FRAME_BYTES, WireError};

fn config() -> Config {
    let cases = std::env::var("PRISM_FUZZ_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2_000);
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

/// One sound frame of each kind.
const SOUND: &[&str] = &[
    r#"{"kind":"hello","protocol":1,"rank":0,"local_rank":0,"world_size":1,"python":"3","torch":"2","device":"cpu","device_name":""}"#,
    r#"{"kind":"built","tensors":[[10,4,"parameter"],[2,8,"other"]]}"#,
    r#"{"kind":"counted","tensors":[[10,4,"buffer"]]}"#,
    r#"{"kind":"open","batch_size":8,"seq_len":128,"tokenizer":null}"#,
    r#"{"kind":"predicted","call":1,"shape":[2,3,5],"dtype":"float32"}"#,
    r#"{"kind":"next","step":0}"#,
    r#"{"kind":"finished","batches":1}"#,
    r#"{"kind":"saved","path":"weights.safetensors"}"#,
    r#"{"kind":"failed","stage":"train","type":"ValueError","message":"no","where":"a.py:1"}"#,
    r#"{"kind":"sources","digests":{"a.py":null,"b.py":"00"},"more":false}"#,
    r#"{"kind":"committed","call":1,"shape":[2,3,5],"dtype":"float32"}"#,
    r#"{"kind":"structure","lines":[["aten.mm.default",[{"t":[0,0]},3,"f"],[[[2,3],"float32"]]]],"more":true,"failure":null}"#,
];

/// Values that JSON readers differ about.
const VALUES: &[&str] = &[
    "0",
    "-1",
    "1.0",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "NaN",
    "null",
    "true",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[[[[[[[[]]]]]]]]",
    "\"kind\"",
    "\"parameter\"",
    "[1,2,3]",
    "[9007199254740993,2,\"buffer\"]",
];

/// A sound frame, changed in one to four places: a value for another, a key twice, bytes moved, cut or set.
fn changed_frame() -> impl Strategy<Value = Vec<u8>> {
    let change = (0u8..6, any::<u16>(), any::<u16>(), any::<u8>());
    (0..SOUND.len(), prop::collection::vec(change, 0..4)).prop_map(|(which, changes)| {
        let mut body = SOUND[which].as_bytes().to_vec();
        for (what, a, b, byte) in changes {
            let place = a as usize % (body.len() + 1);
            let other = b as usize % (body.len() + 1);
            match what {
                0 => body.truncate(place),
                1 => body.insert(place, byte),
                2 if place < body.len() => body[place] = byte,
                3 => {
                    let (from, to) = (place.min(other), place.max(other));
                    let part = body[from..to].to_vec();
                    body.splice(from..from, part);
                }
                4 => {
                    let value = VALUES[byte as usize % VALUES.len()];
                    let colons: Vec<usize> = (0..body.len()).filter(|&n| body[n] == b':').collect();
                    if let Some(&colon) = colons.get(b as usize % colons.len().max(1)) {
                        let end = body[colon..]
                            .iter()
                            .position(|&c| c == b',' || c == b'}')
                            .map_or(body.len(), |n| colon + n);
                        body.splice(colon + 1..end, value.bytes());
                    }
                }
                _ => {
                    let key = format!(
                        "\"{}\":{},",
                        ["kind", "step", "call", "x"][b as usize % 4],
                        VALUES[byte as usize % VALUES.len()]
                    );
                    body.splice(1.min(body.len())..1.min(body.len()), key.bytes());
                }
            }
        }
        body
    })
}

fn hostile_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => changed_frame(),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (1usize..400, prop::sample::select(vec!["[", "{\"kind\":", "{\"a\":[", "\"\\"]))
            .prop_map(|(depth, part)| part.repeat(depth).into_bytes()),
    ]
}

/// What an accepted body must be, by an independent reading: one object, the keys of its kind, each once.
fn check_accepted(body: &[u8], frame: &FromRunner) {
    let value: Value = serde_json::from_slice(body).unwrap();
    let object = value.as_object().expect("one object");
    assert_eq!(object["kind"], frame.kind());
    let sound = SOUND
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).unwrap())
        .find(|sound| sound["kind"] == frame.kind())
        .unwrap();
    let keys = |value: &Value| -> Vec<String> {
        let keys = value.as_object().unwrap().keys().cloned();
        keys.filter(|key| key != "tokenizer").collect()
    };
    assert_eq!(keys(&value), keys(&sound));
    let text = std::str::from_utf8(body).unwrap();
    // A key in a string would count, too: then the frame may be sound with more.
    for key in object.keys() {
        let count = text.matches(&format!("\"{key}\"")).count();
        assert!(count >= 1 || text.contains('\\'), "{key}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fuzz_bodies(body in hostile_body()) {
        if let Ok(frame) = wire::parse(&body) {
            check_accepted(&body, &frame);
        }
    }

    /// Any bytes on the socket, in whatever pieces: a frame or an error, and never more than one frame is taken.
    #[test]
    fn fuzz_streams(
        length in prop_oneof![any::<u32>(), 0u32..300, Just(MAX_FRAME_BYTES as u32 + 1)],
        honest_length in any::<bool>(),
        body in hostile_body(),
    ) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let length = if honest_length { body.len() as u32 } else { length };
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(&body);
        (&theirs).write_all(&bytes).unwrap();
        drop(theirs);
        let read = wire::read_frame(&ours, Instant::now() + Duration::from_secs(5));
        match read {
            Ok(frame) => check_accepted(&body[..length as usize], &frame),
            Err(WireError::Size { got }) => {
                prop_assert!(got == 0 || got > MAX_FRAME_BYTES);
            }
            Err(WireError::Closed) => prop_assert!(length as usize > body.len()),
            Err(WireError::Schema(text)) => prop_assert!(text.chars().count() <= 500 * 10),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}

/// What a hostile peer puts on the wire, in order, whatever it was asked.
#[derive(Debug, Clone)]
enum Said {
    Sound(usize),
    Predicted { call: u64, shape: Vec<u64> },
    Body(Vec<u8>),
    Length(u32),
}

impl Said {
    fn bytes(&self) -> Vec<u8> {
        let body = match self {
            Self::Sound(which) => SOUND[*which].as_bytes().to_vec(),
            Self::Predicted { call, shape } => serde_json::to_vec(&serde_json::json!({
                "kind": "predicted", "call": call, "shape": shape, "dtype": "float32"
            }))
            .unwrap(),
            Self::Body(body) => body.clone(),
            Self::Length(length) => return length.to_le_bytes().to_vec(),
        };
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(body);
        bytes
    }
}

fn said() -> impl Strategy<Value = Said> {
    let shape = prop_oneof![
        4 => Just(vec![2, 3, 5]),
        1 => prop::collection::vec(prop_oneof![0u64..6, any::<u64>()], 0..5),
    ];
    prop_oneof![
        4 => (1u64..5, shape).prop_map(|(call, shape)| Said::Predicted { call, shape }),
        2 => (0..SOUND.len()).prop_map(Said::Sound),
        1 => hostile_body().prop_map(Said::Body),
        1 => prop_oneof![Just(0), Just(MAX_FRAME_BYTES as u32 + 1), any::<u32>()].prop_map(Said::Length),
    ]
}

/// What the referee does next.
#[derive(Debug, Clone, Copy)]
enum Act {
    Attach,
    Ask,
    Take,
    Receive,
    Save,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => Just(Act::Attach),
        4 => Just(Act::Ask),
        4 => Just(Act::Take),
        1 => Just(Act::Receive),
        1 => Just(Act::Save),
    ]
}

const GEOMETRY: Geometry = Geometry {
    batch_size: 2,
    seq_len: 3,
    vocab_size: 5,
};

/// Rule ids that a peer can bring about; anything else, infrastructure above all, is a fault of ours.
const THEIRS: &[&str] = &[
    "closed",
    "deadline",
    "prism:protocol",
    "prism:logits-shape",
    "prism:runtime-error",
    "prism:import-error",
    "prism:build-model-instantiation",
    "prism:build-model-return-type",
    "prism:build-model-resource",
    "prism:resource-oom",
    "prism:state",
];

fn rule_id(stop: Stop) -> String {
    match stop {
        Stop::Fault(Fault { rule_id, .. }) => rule_id,
        Stop::Infrastructure { message, .. } => format!("infrastructure: {message}"),
    }
}

proptest! {
    #![proptest_config(config())]

    /// A peer that says anything in any order, before it was asked or instead of an answer, and then hangs up: a
    /// prediction is taken only if it is the next frame, sound, numbered as the last question, and of the right shape.
    #[test]
    fn fuzz_conversations(
        script in prop::collection::vec(said(), 0..8),
        acts in prop::collection::vec(act(), 1..12),
    ) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = script.iter().flat_map(Said::bytes).collect();
        (&theirs).write_all(&bytes).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut connection = Connection::new(ours, 0);
        connection.attach(GEOMETRY).unwrap();
        let mut heard = script.iter();
        let mut asked = 0;
        let mut logits = Vec::new();
        let patience = Duration::from_secs(5);
        for act in acts {
            let result = match act {
                Act::Attach => connection.attach(GEOMETRY),
                Act::Ask => {
                    asked += 1;
                    connection.ask_prediction(&[1; 6])
                }
                Act::Save => connection.send(&FromReferee::Save { path: "x" }),
                Act::Receive => {
                    heard.next();
                    connection.receive(patience).map(|_| ())
                }
                Act::Take => {
                    let taken = connection.take_prediction(patience, &mut logits);
                    let next = heard.next();
                    let fits = match next {
                        Some(Said::Predicted { call, shape }) => *call == asked && shape[..] == [2, 3, 5],
                        // The sound `predicted` of the table answers the first question.
                        Some(Said::Sound(4)) => asked == 1,
                        // Luck of the changes.
                        Some(Said::Body(body)) => taken.is_ok() && wire::parse(body).is_ok(),
                        _ => false,
                    };
                    prop_assert_eq!(taken.is_ok(), fits, "{:?} for question {}", next, asked);
                    taken
                }
            };
            if let Err(stop) = result {
                let rule_id = rule_id(stop);
                prop_assert!(THEIRS.contains(&rule_id.as_str()), "{}", rule_id);
                break;
            }
        }
    }
}

/// A frame is one object: the reader of tagged enums would take a list for one, too.
#[test]
fn other_spellings_of_a_frame_are_refused() {
    for body in [
        r#"["next",3]"#,
        r#" ["next",3]"#,
        r#"{"kind":"next","kind":"next","step":3}"#,
        r#"{"kind":"next","step":3}{"kind":"next","step":4}"#,
        r#"{"kind":"next","step":3.0}"#,
        r#"{"kind":"next","step":"3"}"#,
        r#"{"kind":"next"}"#,
        r#"{"kind":"next","step":18446744073709551616}"#,
        r#"{"step":3}"#,
        r#"{"kind":1,"step":3}"#,
        "\u{feff}{\"kind\":\"next\",\"step\":3}",
    ] {
        assert!(wire::parse(body.as_bytes()).is_err(), "{body}");
    }
    assert!(wire::parse(br#"{"step":3,"kind":"next"}"#).is_ok());
    let deep = format!("{{\"kind\":\"next\",\"step\":{}", "[".repeat(60_000));
    assert!(wire::parse(deep.as_bytes()).is_err());
}

/// A byte at a time never comes past the deadline of the whole frame, whatever the bytes say.
#[test]
fn a_byte_now_and_then_does_not_stretch_the_deadline() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let drip = std::thread::spawn(move || {
        let frame = Said::Sound(0).bytes();
        for byte in frame {
            if (&theirs).write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let begun = Instant::now();
    let read = wire::read_frame(&ours, begun + Duration::from_millis(200));
    assert!(matches!(read, Err(WireError::Deadline(_))), "{read:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(ours);
    drip.join().unwrap();
}

/// Descriptors that a peer attaches to its frames are closed by the kernel, not held by us.
#[test]
fn descriptors_sent_to_us_are_not_kept() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let bytes = Said::Sound(5).bytes();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [writer.as_fd(), writer.as_fd(), writer.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let parts = [std::io::IoSlice::new(&bytes)];
    sendmsg(theirs.as_fd(), &parts, &mut ancillary, SendFlags::empty()).unwrap();
    drop(writer);
    let frame = wire::read_frame(&ours, Instant::now() + Duration::from_secs(5)).unwrap();
    assert_eq!(frame.kind(), "next");
    // Its last writer is gone: the pipe is at its end at once.
    assert_eq!(rustix::io::read(&reader, &mut [0; 1]).unwrap(), 0);
}

/// A peer that reads nothing blocks its own run only, and not for ever.
#[test]
fn a_peer_that_does_not_read_is_noticed() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut connection = Connection::new(ours, 0);
    let text = "x".repeat(60_000);
    let begun = Instant::now();
    let path = FromReferee::Save { path: &text };
    let stop = loop {
        if let Err(stop) = connection.send_within(&path, Duration::from_millis(100)) {
            break stop;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    };
    assert_eq!(rule_id(stop), "deadline");
    drop(theirs);
}
