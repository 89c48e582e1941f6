//! Faults on purpose: what the crash tests have instead of pulled plugs and full disks.
//!
//! Every step by which the pipeline changes the disk or starts a run asks here first. Nothing happens unless the operator
//! of the process set [`VARIABLE`], which submissions cannot reach: they run in processes of their own, with an environment
//! that is made from nothing. Builds without debug assertions (`--release`) refuse it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::power;

/// `KIND:N`, as in `kill:17`: what happens at the N-th step, counted from 1.
pub const VARIABLE: &str = "PRISM_TEST_FAULT";

/// A step that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    CreateFolder,
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
    Remove,
    Spawn,
}

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The process is killed before the step; in the middle of a write.
    Kill,
    /// The same, and what was not synced is lost.
    Power,
    /// The step fails once for want of space.
    NoSpace,
    /// The step fails once.
    Io,
    /// From this step on, whatever needs space fails.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    kind: Kind,
    at: u64,
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Arms the fault that the environment asks for, if any.
///
/// # Errors
/// What is wrong with the variable.
pub fn arm() -> Result<(), String> {
    let Some(text) = std::env::var_os(VARIABLE) else {
        return Ok(());
    };
    if !cfg!(debug_assertions) {
        return Err(format!("{VARIABLE}: this build has no faults"));
    }
    let plan = text.to_str().and_then(parse);
    let plan = plan.ok_or_else(|| {
        format!("{VARIABLE}={text:?}: expected kill:N, power:N, enospc:N, eio:N or full:N")
    })?;
    if plan.kind == Kind::Power {
        power::arm();
    }
    // A second call has the same environment.
    let _ = PLAN.set(plan);
    Ok(())
}

fn parse(text: &str) -> Option<Plan> {
    let (kind, at) = text.split_once(':')?;
    let kind = match kind {
        "kill" => Kind::Kill,
        "power" => Kind::Power,
        "enospc" => Kind::NoSpace,
        "eio" => Kind::Io,
        "full" => Kind::Full,
        _ => return None,
    };
    let at = at.parse().ok()?;
    Some(Plan { kind, at })
}

/// What happens at a step, by its number.
fn due(plan: Plan, number: u64, step: Step) -> Option<Kind> {
    let is_due = match plan.kind {
        Kind::Full => {
            let needs_space = matches!(
                step,
                Step::CreateFolder | Step::Create | Step::Write | Step::Sync
            );
            number >= plan.at && needs_space
        }
        Kind::Kill | Kind::Power | Kind::NoSpace | Kind::Io => number == plan.at,
    };
    is_due.then_some(plan.kind)
}

/// Counts a step, and fails it if that was asked for.
///
/// # Errors
/// The fault of the plan.
pub fn step(step: Step, path: &Path) -> io::Result<()> {
    match next(step, path) {
        None => Ok(()),
        Some(kind) => Err(struck(kind)),
    }
}

/// Writes all bytes; a fault leaves half of them.
///
/// # Errors
/// Those of the file, and the fault of the plan.
pub fn write(file: &mut File, bytes: &[u8], path: &Path) -> io::Result<()> {
    let Some(kind) = next(Step::Write, path) else {
        return file.write_all(bytes);
    };
    file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
    Err(struck(kind))
}

fn next(step: Step, path: &Path) -> Option<Kind> {
    let plan = *PLAN.get()?;
    let number = STEPS.fetch_add(1, Ordering::SeqCst) + 1;
    let kind = due(plan, number, step)?;
    eprintln!("fault: {kind:?} at {number}: {step:?} {}", path.display());
    Some(kind)
}

/// The error of a fault that leaves the process alive.
fn struck(kind: Kind) -> io::Error {
    let errno = match kind {
        Kind::NoSpace | Kind::Full => rustix::io::Errno::NOSPC,
        Kind::Io => rustix::io::Errno::IO,
        Kind::Kill => die(),
        Kind::Power => {
            power::fail();
            die()
        }
    };
    errno.into()
}

/// Ends this process as `kill -9` does: nothing is unwound, dropped or flushed.
fn die() -> ! {
    let me = rustix::process::getpid();
    // A process may always kill itself; should it not end, it stops here all the same.
    let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_kinds_with_a_number() {
        let plan = |kind, at| Some(Plan { kind, at });
        assert_eq!(parse("kill:17"), plan(Kind::Kill, 17));
        assert_eq!(parse("power:3"), plan(Kind::Power, 3));
        assert_eq!(parse("enospc:1"), plan(Kind::NoSpace, 1));
        assert_eq!(parse("eio:2"), plan(Kind::Io, 2));
        assert_eq!(parse("full:3"), plan(Kind::Full, 3));
        for wrong in ["", "kill", "kill:", "kill:x", "flood:3"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_full_disk_stays_full_and_files_can_be_removed_from_it() {
        let at = |kind| Plan { kind, at: 3 };
        assert_eq!(due(at(Kind::Io), 3, Step::Remove), Some(Kind::Io));
        assert_eq!(due(at(Kind::Io), 4, Step::Remove), None);
        assert_eq!(due(at(Kind::Full), 2, Step::Write), None);
        assert_eq!(due(at(Kind::Full), 9, Step::Write), Some(Kind::Full));
        assert_eq!(due(at(Kind::Full), 9, Step::Remove), None);
    }
}
