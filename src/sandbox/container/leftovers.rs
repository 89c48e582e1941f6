//! Containers outlive a client that is killed. Each carries who started it; those whose starter is gone are ended.

use super::Engine;
use crate::sandbox::{SandboxError, tree};

/// Label of all our containers; its value is [`owner`].
pub(super) const LABEL: &str = "prism.owner";

/// This process, unlike any other of this machine's, before or after: PID namespace, number, time of its start.
pub(super) fn owner() -> String {
    let pid = std::process::id() as i32;
    format!("{}-{pid}-{}", namespace(), started(pid).unwrap_or(0))
}

/// Ends the containers whose owner, of our own PID namespace, has ended.
pub(super) fn remove(engine: Engine) -> Result<(), SandboxError> {
    let filter = format!("label={LABEL}");
    let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
    let listed = engine.ask(&["ps", "--all", "--filter", &filter, "--format", &format])?;
    for line in listed.lines() {
        if let Some((id, owner)) = line.split_once(' ')
            && is_gone(owner)
        {
            engine.ask(&["rm", "--force", id])?;
        }
    }
    Ok(())
}

fn is_gone(owner: &str) -> bool {
    let mut parts = owner.split('-');
    let (Some(theirs), Some(pid), Some(start), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Ok(pid), Ok(start)) = (pid.parse::<i32>(), start.parse::<u64>()) else {
        return false;
    };
    theirs == namespace() && started(pid) != Some(start)
}

/// Number of our PID namespace.
fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy()
        .chars()
        .filter(char::is_ascii_digit)
        .collect()
}

/// When a process started, in the kernel's ticks.
fn started(pid: i32) -> Option<u64> {
    tree::started_ticks(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_gone_when_its_number_is_another_s() {
        let me = owner();
        assert!(!is_gone(&me), "{me}");
        let (rest, start) = me.rsplit_once('-').unwrap();
        let earlier = start.parse::<u64>().unwrap() - 1;
        assert!(is_gone(&format!("{rest}-{earlier}")));
        // another namespace's processes are not ours to know
        for foreign in ["1-2-3", "", "x", &format!("{me}-1")] {
            assert!(!is_gone(foreign), "{foreign}");
        }
    }
}
