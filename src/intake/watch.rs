//! When to look into the inbox: soon after the kernel reports a change, and regularly in any case.
//!
//! Events are hints only. They get lost (queue overflow, network file systems), and they say nothing
//! about completeness, so every wake means: look at everything again.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::error::IntakeError;
use super::names::{self, NameKind};

/// Events come in bursts: the first is looked at at once, since it may be a file that was renamed and is whole; after that
/// a look waits for a pause of this length...
const QUIET: Duration = Duration::from_millis(100);
/// ...but not longer than this.
const LONGEST_BURST: Duration = Duration::from_secs(1);
/// Whatever is asked for, there are not more looks than this allows.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// Why it is time to look.
#[derive(Debug)]
pub enum Wake {
    /// Watching begins.
    Start,
    /// Something changed, or a look was asked for.
    Change,
    /// Nothing was heard for the polling interval.
    Poll,
    /// There are no events, and why; said once, polling goes on. Look as at any other wake.
    EventsLost(IntakeError),
}

/// When to look next, besides changes and polling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing is under way.
    WaitForChange,
    /// A file needs another look after this time.
    LookAgainIn(Duration),
    /// Stop watching.
    Stop,
}

/// Ends a [`Watch::run`] from another thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    hints: SyncSender<()>,
}

impl Stopper {
    /// Ends the watch after the look that is under way, if any.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        // A full channel means that the watch is about to wake anyway; a closed one, that it ended.
        let _ = self.hints.try_send(());
    }
}

/// A watch over one inbox. While nothing happens it sleeps in the kernel.
#[derive(Debug)]
pub struct Watch {
    inbox: PathBuf,
    poll: Duration,
    stop: Arc<AtomicBool>,
    hints: SyncSender<()>,
    hinted: Receiver<()>,
}

impl Watch {
    /// A watch that looks at least every `poll`.
    pub fn new(inbox: impl Into<PathBuf>, poll: Duration) -> Self {
        // One pending hint says as much as a thousand, so the channel holds one.
        let (hints, hinted) = sync_channel(1);
        Self {
            inbox: inbox.into(),
            poll: poll.max(SHORTEST_PAUSE),
            stop: Arc::new(AtomicBool::new(false)),
            hints,
            hinted,
        }
    }

    /// A handle that ends it.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            stop: Arc::clone(&self.stop),
            hints: self.hints.clone(),
        }
    }

    /// Calls `on_wake` at the start and whenever it is time to look, until it says
    /// [`Next::Stop`] or a [`Stopper`] does.
    pub fn run(self, on_wake: impl FnMut(Wake) -> Next) {
        self.run_with(subscribe, on_wake);
    }

    /// [`run`](Self::run) with a way to subscribe to events.
    fn run_with(self, subscribe: Subscribe, mut on_wake: impl FnMut(Wake) -> Next) {
        let mut events = Events {
            subscribe,
            watcher: None,
            directory: None,
            is_loss_reported: false,
        };
        let mut wake = Wake::Start;
        loop {
            // Before the look, so that no change falls between the two.
            if let Some(lost) = events.follow(&self.inbox, &self.hints)
                && on_wake(Wake::EventsLost(lost)) == Next::Stop
            {
                return;
            }
            let pause = match on_wake(wake) {
                Next::Stop => return,
                Next::WaitForChange => self.poll,
                Next::LookAgainIn(pause) => pause.clamp(SHORTEST_PAUSE, self.poll),
            };
            let looked = Instant::now();
            wake = match self.hinted.recv_timeout(pause) {
                Ok(()) => {
                    if looked.elapsed() < QUIET {
                        self.wait_for_quiet();
                    }
                    Wake::Change
                }
                Err(RecvTimeoutError::Timeout) if pause == self.poll => Wake::Poll,
                Err(_) => Wake::Change,
            };
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    fn wait_for_quiet(&self) {
        let deadline = Instant::now() + LONGEST_BURST;
        while !self.stop.load(Ordering::SeqCst)
            && Instant::now() < deadline
            && self.hinted.recv_timeout(QUIET).is_ok()
        {}
    }
}

type Subscribe = fn(&Path, SyncSender<()>) -> notify::Result<RecommendedWatcher>;

/// The subscription to kernel events.
#[derive(Debug)]
struct Events {
    subscribe: Subscribe,
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of the directory that is subscribed to.
    directory: Option<(u64, u64)>,
    /// Loss of events is reported once, not at every poll.
    is_loss_reported: bool,
}

impl Events {
    /// Subscribes, or again when another directory stands at the path (removed and made anew,
    /// mounted over). Returns the reason when there are no events, the first time.
    fn follow(&mut self, inbox: &Path, hints: &SyncSender<()>) -> Option<IntakeError> {
        let directory = std::fs::metadata(inbox)
            .ok()
            .map(|metadata| (metadata.dev(), metadata.ino()));
        if directory == self.directory {
            return None;
        }
        self.directory = directory;
        self.watcher = None;
        directory?;
        match (self.subscribe)(inbox, hints.clone()) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                None
            }
            Err(_) if self.is_loss_reported => None,
            Err(error) => {
                self.is_loss_reported = true;
                Some(IntakeError::NoEvents {
                    path: inbox.to_owned(),
                    reason: error.to_string(),
                })
            }
        }
    }
}

fn subscribe(inbox: &Path, hints: SyncSender<()>) -> notify::Result<RecommendedWatcher> {
    let on_event = move |event| forward(event, &hints);
    let config = notify::Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(on_event, config)?;
    watcher.watch(inbox, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// An event, or the loss of some, as a hint.
fn forward(event: notify::Result<notify::Event>, hints: &SyncSender<()>) {
    if event.map_or(true, |event| {
        is_hint(&event.kind) && !is_of_drafts(&event.paths)
    }) {
        // A full channel already holds the hint; a closed one means that nobody watches.
        let _ = hints.try_send(());
    }
}

/// Reading is no change, least of all our own; the end of a write is.
fn is_hint(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

/// Whether only files that are still under way are concerned: their last rename is an event of its own.
fn is_of_drafts(paths: &[PathBuf]) -> bool {
    let is_draft = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        names::kind(&name) == NameKind::Temporary
    };
    !paths.is_empty() && paths.iter().all(is_draft)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use notify::event::{AccessKind, AccessMode, CreateKind, Event, EventKind, Flag};

    use notify::Watcher;

    use super::{IntakeError, Next, Wake, Watch, forward, is_hint, is_of_drafts};

    #[test]
    fn events_that_are_hints() {
        let write = AccessKind::Close(AccessMode::Write);
        assert!(is_hint(&EventKind::Access(write)));
        assert!(is_hint(&EventKind::Create(CreateKind::File)));
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(is_hint(&overflow.kind));
        for read in [AccessKind::Open(AccessMode::Any), AccessKind::Read] {
            assert!(!is_hint(&EventKind::Access(read)), "{read:?}");
        }
    }

    #[test]
    fn a_mount_that_gives_no_events_is_polled() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let mut wakes = Vec::new();
        Watch::new(directory.path(), Duration::from_millis(20)).run_with(
            // subscribed, and silent, as on NFS and FUSE
            |_, _| notify::RecommendedWatcher::new(|_| {}, notify::Config::default()),
            |wake| {
                wakes.push(format!("{wake:?}"));
                std::fs::write(directory.path().join("a.zip"), "").expect("a file");
                if wakes.len() < 3 {
                    Next::WaitForChange
                } else {
                    Next::Stop
                }
            },
        );
        assert_eq!(wakes, ["Start", "Poll", "Poll"]);
    }

    #[test]
    fn an_overflow_of_events_is_a_reason_to_look() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let mut wakes = Vec::new();
        Watch::new(directory.path(), Duration::from_secs(3_600)).run_with(
            |_, hints| {
                // as the kernel's queue says it: something was lost, nobody knows what
                let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
                forward(Ok(overflow), &hints);
                notify::RecommendedWatcher::new(|_| {}, notify::Config::default())
            },
            |wake| {
                wakes.push(format!("{wake:?}"));
                if wakes.len() < 2 {
                    Next::WaitForChange
                } else {
                    Next::Stop
                }
            },
        );
        assert_eq!(wakes, ["Start", "Change"]);
    }

    #[test]
    fn events_of_drafts_are_none() {
        let of =
            |names: &[&str]| is_of_drafts(&names.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert!(of(&["inbox/.a.zip.x1Y2z3"]));
        assert!(of(&["inbox/a.zip.part", "inbox/.b"]));
        // the rename of a draft, and what says nothing about names
        assert!(!of(&["inbox/.a.zip.x1Y2z3", "inbox/a.zip"]));
        assert!(!of(&["inbox/a.zip"]));
        assert!(!of(&[]));
    }

    #[test]
    fn without_events_polling_goes_on_and_it_is_said_once() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let mut wakes = Vec::new();
        Watch::new(directory.path(), Duration::from_millis(20)).run_with(
            |_, _| Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch)),
            |wake| {
                if let Wake::EventsLost(error) = &wake {
                    assert!(matches!(error, IntakeError::NoEvents { .. }), "{error}");
                    assert!(error.to_string().ends_with("OS file watch limit reached."));
                }
                wakes.push(match wake {
                    Wake::EventsLost(_) => "lost",
                    Wake::Start => "start",
                    Wake::Change => "change",
                    Wake::Poll => "poll",
                });
                if wakes.len() < 4 {
                    Next::WaitForChange
                } else {
                    Next::Stop
                }
            },
        );
        assert_eq!(wakes, ["lost", "start", "poll", "poll"]);
    }
}
