//! Frames between the referee and the runner; see docs/protocol.md.
//!
//! The other side is hostile: a frame has a size limit, a schema without room for unknown keys, and a deadline.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::{Deserialize, Serialize};

use crate::families::structure::Line;

pub const PROTOCOL: u32 = 4;
/// Largest frame, in bytes.
pub const MAX_FRAME_BYTES: usize = 65_536;
/// Longest list of tensors in `built`.
pub const MAX_TENSORS: usize = 4_096;

/// What the runner may say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum FromRunner {
    Hello {
        protocol: u32,
        rank: u32,
        local_rank: u32,
        world_size: u32,
        python: String,
        torch: String,
        device: String,
        device_name: String,
    },
    Sources {
        digests: BTreeMap<String, Option<String>>,
        more: bool,
    },
    Structure {
        lines: Vec<Line>,
        more: bool,
        failure: Option<String>,
    },
    Built {
        tensors: Vec<(u64, u32, TensorKind)>,
    },
    Counted {
        tensors: Vec<(u64, u32, TensorKind)>,
    },
    Open {
        batch_size: u64,
        seq_len: u64,
        tokenizer: Option<String>,
    },
    Predicted {
        call: u64,
        shape: Vec<u64>,
        dtype: String,
    },
    /// Losses and the last column's logits lie in shared memory; all logits are kept to be shown.
    Committed {
        call: u64,
        shape: Vec<u64>,
        dtype: String,
    },
    Next {
        step: u64,
        weights: Option<String>,
    },
    /// A checkpoint lies in the artifacts' folder: the model after so many batches.
    Checkpoint {
        step: u64,
    },
    Finished {
        batches: u64,
    },
    Saved {
        path: String,
    },
    Failed {
        stage: Stage,
        #[serde(rename = "type")]
        exception: String,
        message: String,
        #[serde(rename = "where")]
        place: String,
    },
}

impl FromRunner {
    /// The frame's kind, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Sources { .. } => "sources",
            Self::Structure { .. } => "structure",
            Self::Built { .. } => "built",
            Self::Counted { .. } => "counted",
            Self::Open { .. } => "open",
            Self::Predicted { .. } => "predicted",
            Self::Committed { .. } => "committed",
            Self::Next { .. } => "next",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Finished { .. } => "finished",
            Self::Saved { .. } => "saved",
            Self::Failed { .. } => "failed",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorKind {
    Parameter,
    Buffer,
    Other,
}

/// Where in the submission's life its code raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Import,
    Build,
    Load,
    Train,
    Forward,
    Save,
}

/// What the referee says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FromReferee<'a> {
    Plan(&'a serde_json::Value),
    Attach {
        batch_size: u64,
        seq_len: u64,
        vocab_size: u64,
        shm_bytes: u64,
        ids_offset: u64,
        targets_offset: u64,
        nats_offset: u64,
        logits_offset: u64,
    },
    Predict {
        call: u64,
        rows: u64,
        cols: u64,
        /// Whether losses are enough for now.
        commit: bool,
    },
    /// All logits of the call that was committed last, please.
    Show {
        call: u64,
    },
    Reveal {
        step: u64,
        bytes_charged: u64,
    },
    Census,
    /// The checkpoint was copied out.
    Kept {
        step: u64,
    },
    Exhausted {
        reason: &'a str,
    },
    Save {
        path: &'a str,
    },
    End {
        reason: &'a str,
    },
}

/// Why no frame could be had.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection was closed")]
    Closed,
    #[error("no complete frame within {0:.1} s")]
    Deadline(f64),
    #[error("a frame of {got} bytes, expected 1 to {MAX_FRAME_BYTES}")]
    Size { got: usize },
    #[error("a frame that is not of the protocol: {0}")]
    Schema(String),
    /// The kernel counts descriptors in flight by user: who sends many that nobody takes leaves none for us.
    #[error("too many file descriptors are on their way through sockets")]
    Descriptors,
    #[error("{0}")]
    Io(std::io::Error),
}

/// Parses the body of a frame.
pub fn parse(body: &[u8]) -> Result<FromRunner, WireError> {
    // The derived reader would take a list of a kind and its fields, too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(WireError::Schema("expected one object".to_owned()));
    }
    let frame: FromRunner = serde_json::from_slice(body)
        .map_err(|error| WireError::Schema(clipped(&error.to_string())))?;
    if let FromRunner::Built { tensors } | FromRunner::Counted { tensors } = &frame
        && tensors.len() > MAX_TENSORS
    {
        return Err(WireError::Schema(format!(
            "{} tensors, expected at most {MAX_TENSORS}",
            tensors.len()
        )));
    }
    Ok(frame)
}

/// At most 500 characters of what somebody else wrote, with control characters made visible.
pub fn clipped(text: &str) -> String {
    text.chars()
        .take(500)
        .flat_map(|c| {
            if c.is_control() && c != '\n' {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// Reads one frame before the deadline, however slowly its bytes come.
pub fn read_frame(stream: &UnixStream, deadline: Instant) -> Result<FromRunner, WireError> {
    let patience = deadline.saturating_duration_since(Instant::now());
    let mut length = [0; 4];
    read_exact(stream, &mut length, deadline, patience)?;
    let length = u32::from_le_bytes(length) as usize;
    if !(1..=MAX_FRAME_BYTES).contains(&length) {
        return Err(WireError::Size { got: length });
    }
    let mut body = vec![0; length];
    read_exact(stream, &mut body, deadline, patience)?;
    parse(&body)
}

fn read_exact(
    mut stream: &UnixStream,
    buffer: &mut [u8],
    deadline: Instant,
    patience: Duration,
) -> Result<(), WireError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(WireError::Deadline(patience.as_secs_f64()));
        }
        stream.set_read_timeout(Some(left)).map_err(WireError::Io)?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(WireError::Closed),
            Ok(length) => filled += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(WireError::Closed);
            }
            Err(error) => return Err(WireError::Io(error)),
        }
    }
    Ok(())
}

/// Sends one frame, with a file descriptor attached to its first byte if there is one. All of it must be taken within
/// `patience`, in however many pieces: a runner that does not read, or reads a byte now and then, would block us for ever.
pub fn send_frame(
    stream: &UnixStream,
    frame: &FromReferee<'_>,
    descriptor: Option<BorrowedFd<'_>>,
    patience: Duration,
) -> Result<(), WireError> {
    let body = serde_json::to_vec(frame).map_err(|error| WireError::Schema(error.to_string()))?;
    if body.len() > MAX_FRAME_BYTES {
        return Err(WireError::Size { got: body.len() });
    }
    let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
    bytes.extend(body);
    let deadline = Instant::now() + patience;
    let mut descriptor = descriptor;
    let mut sent = 0;
    while sent < bytes.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(WireError::Deadline(patience.as_secs_f64()));
        }
        stream
            .set_write_timeout(Some(left))
            .map_err(WireError::Io)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let parts = [std::io::IoSlice::new(&bytes[sent..])];
        match sendmsg(stream.as_fd(), &parts, &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(length) => {
                sent += length;
                descriptor = None;
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(WireError::Closed),
            Err(Errno::TOOMANYREFS) => return Err(WireError::Descriptors),
            Err(error) => return Err(WireError::Io(error.into())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(200)
    }

    fn raw(bytes: &[u8]) -> Result<FromRunner, WireError> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(bytes).unwrap();
        drop(theirs);
        read_frame(&ours, soon())
    }

    fn framed(body: &str) -> Vec<u8> {
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(body.as_bytes());
        bytes
    }

    #[test]
    fn frames_are_read() {
        let frame = raw(&framed(
            r#"{"kind":"open","batch_size":8,"seq_len":128,"tokenizer":null}"#,
        ))
        .unwrap();
        assert_eq!(
            frame,
            FromRunner::Open {
                batch_size: 8,
                seq_len: 128,
                tokenizer: None
            }
        );
        let built = raw(&framed(
            r#"{"kind":"built","tensors":[[10,4,"parameter"],[2,8,"other"]]}"#,
        ))
        .unwrap();
        assert_eq!(built.kind(), "built");
    }

    #[test]
    fn bad_frames_are_errors_of_their_own() {
        assert!(matches!(raw(&[]), Err(WireError::Closed)));
        assert!(matches!(raw(&[1, 0]), Err(WireError::Closed)));
        assert!(matches!(
            raw(&[0, 0, 0, 0]),
            Err(WireError::Size { got: 0 })
        ));
        assert!(matches!(raw(&[0xff; 8]), Err(WireError::Size { .. })));
        assert!(matches!(raw(&framed("[]")), Err(WireError::Schema(_))));
        assert!(matches!(
            raw(&framed(r#"{"kind":"score","bpb":0.1}"#)),
            Err(WireError::Schema(_))
        ));
        assert!(matches!(
            raw(&framed(r#"{"kind":"next","step":1,"bpb":0.1}"#)),
            Err(WireError::Schema(_))
        ));
        assert!(matches!(
            raw(&framed(r#"{"kind":"next","step":-1}"#)),
            Err(WireError::Schema(_))
        ));
        assert!(matches!(
            raw(&framed(r#"{"kind":"next","step":1,"step":2}"#)),
            Err(WireError::Schema(_))
        ));
    }

    #[test]
    fn a_slow_sender_runs_into_the_deadline() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(&[9, 0, 0, 0, b'{']).unwrap();
        assert!(matches!(
            read_frame(&ours, soon()),
            Err(WireError::Deadline(_))
        ));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&body);
        }
    }
}
