//! Stacks that hold the deepest tree: threads that review one submission after the other, and a stack for one review.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::limits::STACK_BYTES;

/// Stack of a thread that reviews one submission after the other. Memory is taken only as far as it is used.
pub const WORKER_STACK_BYTES: usize = STACK_BYTES + (1 << 20);

/// None where the system does not give so much address space.
static WORKERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new()
        .stack_size(WORKER_STACK_BYTES)
        .thread_name(|number| format!("review-{number}"))
        .build()
        .ok()
});

/// Runs `work`, whose parallel iterators then use threads, one for each core, with a stack for the deepest tree: a
/// review on them needs no stack of its own.
pub fn on_workers<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match &*WORKERS {
        Some(workers) => workers.install(work),
        None => work(),
    }
}

/// Runs `work` on a stack that holds the deepest tree that the limits let through: this thread's own, where there is
/// enough of it left, or a new one.
pub fn on_deep_stack<T>(work: impl FnOnce() -> T) -> Option<T> {
    // fails by a panic where there is no memory for the stack
    catch_unwind(AssertUnwindSafe(|| {
        stacker::maybe_grow(STACK_BYTES, STACK_BYTES, work)
    }))
    .ok()
}
