//! Examining waits for the disk far more than for a core: fifteen syncs a submission. So many submissions are examined at
//! once, whose syncs the file system joins, and the part of them that needs memory and a core takes turns.

use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use rayon::ThreadPoolBuilder;

/// Submissions that wait for the disk at once. Each holds its archive, at most `archive.max_archive_bytes`.
const AT_ONCE: usize = 32;

/// Reviews that may begin.
static FREE: LazyLock<(Mutex<usize>, Condvar)> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (Mutex::new(cores), Condvar::new())
});

/// Has the threads of this process' parallel iterators outnumber its cores, unless they were started before.
pub(super) fn widen() {
    // Started before: it goes as it goes, more slowly.
    let _ = ThreadPoolBuilder::new().num_threads(AT_ONCE).build_global();
}

/// One review under way; its end lets the next one begin.
#[derive(Debug)]
pub(super) struct Turn(());

/// Waits until fewer reviews than cores are under way.
pub(super) fn take() -> Turn {
    let (free, freed) = &*FREE;
    let mut count = free.lock().unwrap_or_else(PoisonError::into_inner);
    while *count == 0 {
        count = freed.wait(count).unwrap_or_else(PoisonError::into_inner);
    }
    *count -= 1;
    Turn(())
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (free, freed) = &*FREE;
        *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_turns_than_cores_and_each_is_given_back() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 * cores {
                scope.spawn(|| {
                    // A review that panics gives its turn back, too.
                    let _ = std::panic::catch_unwind(|| {
                        let _turn = take();
                        let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        under_way.fetch_sub(1, Ordering::SeqCst);
                        std::panic::resume_unwind(Box::new(()));
                    });
                });
            }
        });
        assert!((1..=cores).contains(&most.into_inner()));
    }
}
