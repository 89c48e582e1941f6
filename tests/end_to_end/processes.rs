//! The process tree below a process of ours, as /proc tells it.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// A process that cannot be taken for a later one of the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    started: String,
    pub command: String,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(Self {
            pid,
            started: field(pid, 19)?,
            command: String::from_utf8_lossy(&command).replace('\0', " "),
        })
    }

    /// Whether it runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        field(self.pid, 0).is_some_and(|state| state != "Z" && state != "X")
            && field(self.pid, 19).as_ref() == Some(&self.started)
    }

    pub fn kill(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

/// Field of /proc/PID/stat after the command's name: 0 state, 1 parent, 19 time of the start.
fn field(pid: i32, index: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(") ")?.1;
    rest.split_whitespace().nth(index).map(str::to_owned)
}

/// All descendants of a process, nearest first.
pub fn descendants(root: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        if let Some(parent) = field(pid, 1) {
            children
                .entry(parent.parse().unwrap())
                .or_default()
                .push(pid);
        }
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found.into_iter().filter_map(Process::read).collect()
}

/// The ranks of a training: the children of torchrun. The walls around them name the runner on their command lines, too.
pub fn ranks_below(root: i32) -> Vec<Process> {
    let torchrun = descendants(root).into_iter().find(|process| {
        process.command.contains("torch.distributed.run") && !process.command.starts_with("bwrap")
    });
    let inside = torchrun.map(|torchrun| descendants(torchrun.pid));
    inside
        .into_iter()
        .flatten()
        .filter(|process| process.command.contains("runner.py"))
        .collect()
}

/// All of them must be gone soon.
pub fn assert_all_end(processes: &[Process], patience: Duration) {
    let alive = || -> Vec<&Process> {
        let alive = processes.iter().filter(|process| process.is_alive());
        alive.collect()
    };
    let deadline = Instant::now() + patience;
    while !alive().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(alive().is_empty(), "orphans: {:#?}", alive());
}
