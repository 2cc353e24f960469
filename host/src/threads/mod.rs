//! Threads for CPU work, and the pages of the memory that they read.

mod pages;
mod pool;

use std::sync::Arc;

use hearth_engine::device::Workers;

use pool::Pool;

/// Cores that this process may use, each counted once: two threads that share a core's arithmetic units only get in
/// each other's way when both multiply matrices.
pub fn physical_cores() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    sysinfo::System::physical_core_count().map_or(usable, |cores| cores.min(usable)).max(1)
}

/// A pool of `threads` threads; the calling thread is one of them, so that handing work out costs it nothing.
/// Falls back to fewer, and to the calling thread alone, where the system grants no threads.
pub fn worker_pool(threads: usize) -> Arc<dyn Workers> {
    Arc::new(Pool::new(threads.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_core() {
        assert!(physical_cores() >= 1);
        assert_eq!(worker_pool(0).count(), 1);
    }
}
