//! The process tree of a sandbox, as /proc tells it: who is in it and what it uses.

use std::collections::HashMap;
use std::fs;

/// What a tree uses at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// In memory or swapped out.
    pub resident_bytes: u64,
    /// Processes and threads.
    pub tasks: u64,
}

/// The direct children of a process.
pub(super) fn children(parent: i32) -> Vec<i32> {
    by_parent().remove(&parent).unwrap_or_default()
}

/// All descendants of `root`, itself included, parents first.
pub(super) fn members(root: i32) -> Vec<i32> {
    let mut children = by_parent();
    let mut members = vec![root];
    let mut next = 0;
    while next < members.len() {
        if let Some(found) = children.remove(&members[next]) {
            members.extend(found);
        }
        next += 1;
    }
    members
}

fn by_parent() -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return children;
    };
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(parent) = stat_field(pid, 1) {
            children.entry(parent as i32).or_default().push(pid);
        }
    }
    children
}

/// Sums over a tree: private memory and shared memory that was made (not mapped files, which libraries are).
/// What several processes share counts once for each: too much rather than too little ([`proportional_bytes`] shares it
/// out, at a price).
pub(super) fn usage(members: &[i32]) -> Usage {
    let mut usage = Usage::default();
    for &pid in members {
        let Some(tasks) = stat_field(pid, 17) else {
            continue;
        };
        usage.tasks += tasks.max(0) as u64;
        usage.resident_bytes += own_bytes(pid);
    }
    usage
}

/// The same memory as [`usage`] with every page counted once in the whole tree, as forks share most of theirs. The
/// kernel walks all page tables for it.
pub(super) fn proportional_bytes(members: &[i32]) -> u64 {
    members.iter().map(|&pid| share_bytes(pid)).sum()
}

fn own_bytes(pid: i32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status")).map_or(0, |text| {
        sum_bytes(&text, &["RssAnon:", "RssShmem:", "VmSwap:"])
    })
}

/// A process that hides its maps from its own user is charged for all that it sees.
fn share_bytes(pid: i32) -> u64 {
    match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        Ok(text) if text.contains("Pss_Anon:") => {
            sum_bytes(&text, &["Pss_Anon:", "Pss_Shmem:", "SwapPss:"])
        }
        _ => own_bytes(pid),
    }
}

/// Sum of lines like `RssAnon:   1234 kB`.
fn sum_bytes(text: &str, names: &[&str]) -> u64 {
    text.lines()
        .filter_map(|line| {
            let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
            rest.trim().trim_end_matches(" kB").parse::<u64>().ok()
        })
        .fold(0, |sum, kib| sum.saturating_add(kib.saturating_mul(1024)))
}

/// Whether a process is stopped, or will never run again.
pub(super) fn is_at_rest(pid: i32) -> bool {
    stat_text(pid, 0).is_none_or(|state| matches!(state.as_str(), "T" | "t" | "Z" | "X"))
}

/// Whether a process is gone, or only waits to be collected.
pub(super) fn is_dead(pid: i32) -> bool {
    stat_text(pid, 0).is_none_or(|state| matches!(state.as_str(), "Z" | "X"))
}

/// When a process started, in clock ticks since the machine did.
pub(super) fn started_ticks(pid: i32) -> Option<u64> {
    stat_text(pid, 19)?.parse().ok()
}

/// Field of /proc/PID/stat after the command name: 0 state, 1 parent, 17 threads, 19 time of the start.
fn stat_field(pid: i32, index: usize) -> Option<i64> {
    stat_text(pid, index)?.parse().ok()
}

fn stat_text(pid: i32, index: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything, parentheses too.
    let rest = text.get(text.rfind(')')? + 2..)?;
    Some(rest.split(' ').nth(index)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_kernel_tables() {
        let text = "Rss:   999 kB\nPss_Anon:  10 kB\nPss_File: 7 kB\nPss_Shmem: 2 kB\nSwapPss: 1 kB\nX: y kB\n";
        assert_eq!(
            sum_bytes(text, &["Pss_Anon:", "Pss_Shmem:", "SwapPss:"]),
            13 * 1024
        );
        assert_eq!(sum_bytes("Pss_Anon: many kB", &["Pss_Anon:"]), 0);
    }

    #[test]
    fn a_process_is_charged_for_what_it_holds() {
        let me = std::process::id() as i32;
        let block = vec![1u8; 16 << 20];
        assert!(proportional_bytes(&[me]) >= 16 << 20);
        assert!(usage(&[me]).resident_bytes >= 16 << 20);
        assert_eq!(block.len(), 16 << 20);
        assert_eq!(proportional_bytes(&[-1]), 0);
    }
}
