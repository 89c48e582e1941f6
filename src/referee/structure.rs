//! The structure of a submission's architecture: the runner's listing of one forward, made canonical on our side.
//!
//! The runner stands under the submission's control, so a hostile one can list another architecture than it trains. It
//! gains nothing by it: see docs/competitions.md.

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::handshake;
use super::launch::Phase;
use super::measured::Fault;
use super::phases::take_built;
use super::plan::RunPlan;
use super::stop::{Stop, explain, unexpected};
use super::wire::{FromReferee, FromRunner, clipped};
use crate::config::Device;
use crate::families::structure::{self, Line, MAX_ATOMS, MAX_LINES, Structure};
use crate::sandbox::python;

/// Most frames of one listing: 16 MiB of text.
const MAX_FRAMES: usize = 256;

/// Rule of a training that was sent for another architecture than it brings.
pub const MISMATCH: &str = "prism:architecture-mismatch";

/// Takes the `structure` frames.
pub fn take(connection: &mut Connection, patience: Duration) -> Result<Structure, Stop> {
    let deadline = Instant::now() + patience;
    let mut listing: Vec<Line> = Vec::new();
    let mut atoms = 0;
    for _ in 0..MAX_FRAMES {
        let left = deadline.saturating_duration_since(Instant::now());
        let frame = connection.receive(left)?;
        let FromRunner::Structure {
            lines,
            more,
            failure,
        } = frame
        else {
            return Err(unexpected(&frame, "structure").into());
        };
        let is_stalling = more && lines.is_empty();
        atoms += lines.iter().map(|line| line.1.len()).sum::<usize>();
        listing.extend(lines);
        if is_stalling || listing.len() > MAX_LINES || atoms > MAX_ATOMS {
            break;
        }
        if !more {
            return Ok(structure::canonical(
                &listing,
                failure.map(|failure| clipped(&failure)),
            ));
        }
    }
    let message = format!(
        "got a structure of {} lines and {atoms} arguments, expected at most {MAX_LINES}, {MAX_ATOMS} and {MAX_FRAMES} frames",
        listing.len()
    );
    Err(Fault::new(
        "prism:runtime-error",
        message,
        "the structure is the runner's to tell",
    )
    .into())
}

/// Whether the twin's own process tells the structure. On a GPU it does not: a process on the CPU tells it before, so
/// that the same architecture has the same structure on every device.
pub fn is_told_by_twin(plan: &RunPlan) -> bool {
    plan.config.run.device == Device::Cpu
}

/// The structure from a process on the CPU of its own. None where the submission does not run on one.
pub fn on_cpu(
    plan: &RunPlan,
    python: &python::Environment,
    tokenizers: &serde_json::Value,
) -> Result<Option<Structure>, Stop> {
    let mut plan = plan.clone();
    plan.folder.push("structure");
    plan.config.run.device = Device::Cpu;
    let mut started = handshake::start(&plan, python, Phase::Twin, None, tokenizers)?;
    let patience = Duration::from_secs(plan.config.run.build_s);
    let Some(connection) = started.connections.first_mut() else {
        return Ok(None);
    };
    let told = take_built(connection, patience).and_then(|_| take(connection, patience));
    // If it is gone already there is nothing to end.
    let _ = connection.send(&FromReferee::End { reason: "done" });
    let told = match told.map_err(|stop| explain(stop, &started.running, "building on the CPU")) {
        Ok(structure) => Some(structure),
        Err(Stop::Fault(_)) => None,
        Err(stop) => return Err(stop),
    };
    started.running.finish(Duration::from_secs(5));
    Ok(told)
}

/// Whether a training brings the architecture that it was sent for.
pub fn check_target(plan: &RunPlan, structure: Option<&Structure>) -> Result<(), Fault> {
    let Some(target) = &plan.target else {
        return Ok(());
    };
    let got = match structure {
        Some(structure) if structure.digest == *target => return Ok(()),
        Some(structure) => structure.family(),
        None => "an architecture that cannot be built on the CPU".to_owned(),
    };
    Err(Fault::new(
        MISMATCH,
        format!(
            "training_for_arch: build_model gives {got}, expected {}",
            structure::family_id(target)
        ),
        "bring the architecture of the family unchanged in widths, depth and wiring, or send kind full",
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::families::structure::Basis;

    /// What comes of these frames.
    fn told(frames: &[String]) -> Result<Structure, Stop> {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        // in one piece: many small ones fill the socket before anybody reads
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.extend((frame.len() as u32).to_le_bytes());
            bytes.extend(frame.as_bytes());
        }
        theirs.write_all(&bytes).unwrap();
        drop(theirs);
        take(&mut Connection::new(ours, 0), Duration::from_secs(20))
    }

    fn frame(lines: &str, more: bool) -> String {
        format!(r#"{{"kind":"structure","lines":[{lines}],"more":{more},"failure":null}}"#)
    }

    #[test]
    fn pieces_make_one_listing() {
        let leaf = r#"["input",[],[[[1,8],"int64"]]]"#;
        let rest =
            r#"["aten.neg.default",[{"t":[0,0]}],[[[1,8],"int64"]]],["output",[{"t":[1,0]}],[]]"#;
        let structure = told(&[frame(leaf, true), frame(rest, false)]).unwrap();
        assert_eq!((structure.basis, structure.operations), (Basis::Traced, 1));
        assert_eq!(
            structure.text,
            "prism_structure.v1 traced\n%0 input() int64[1,8]\n%1 aten.neg.default(%0) int64[1,8]\noutput %1\n"
        );
    }

    #[test]
    fn what_is_no_listing_ends_the_run() {
        let leaf = r#"["input",[],[]]"#;
        let built = r#"{"kind":"built","tensors":[]}"#.to_owned();
        let refused = [
            vec![frame("", true)],
            vec![built],
            vec![frame(r#"["a"]"#, false)],
            vec![frame(r#"["a",[{"t":[0,0],"u":1}],[]]"#, false)],
            vec![frame(leaf, true); MAX_FRAMES + 1],
        ];
        for frames in refused {
            assert!(
                matches!(told(&frames), Err(Stop::Fault(_))),
                "{:?}",
                frames[0]
            );
        }
    }
}
