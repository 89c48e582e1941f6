//! Whether this process still gets on with its work: what a service manager's watchdog is told.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static START: OnceLock<Instant> = OnceLock::new();
static LAST_MS: AtomicU64 = AtomicU64::new(0);

fn now_ms() -> u64 {
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// The work has got on: called at every look, batch of archives and run, and while a run is watched over.
pub fn beat() {
    LAST_MS.store(now_ms(), Ordering::Relaxed);
}

/// How long ago that was.
pub fn age() -> Duration {
    Duration::from_millis(now_ms().saturating_sub(LAST_MS.load(Ordering::Relaxed)))
}
