//! Threads for CPU work.

use std::sync::Arc;

use hearth_engine::device::{Serial, Workers};
use rayon::{
    ThreadPool, ThreadPoolBuilder,
    iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator},
};

/// Cores that this process may use, each counted once: two threads that share a core's arithmetic units only get in
/// each other's way when both multiply matrices.
pub fn physical_cores() -> usize {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    sysinfo::System::physical_core_count().map_or(usable, |cores| cores.min(usable)).max(1)
}

/// A pool of `threads` threads; the calling thread is one of them, so that handing work out costs it nothing.
/// Falls back to the calling thread alone where the system grants no threads.
pub fn worker_pool(threads: usize) -> Arc<dyn Workers> {
    if threads <= 1 {
        return Arc::new(Serial);
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .thread_name(|index| format!("hearth-worker-{index}"))
        .build();
    match pool {
        Ok(pool) => Arc::new(Pool { pool }),
        Err(error) => {
            tracing::warn!(%error, threads, "no threads for CPU work; going on with one");
            Arc::new(Serial)
        }
    }
}

struct Pool {
    pool: ThreadPool,
}

impl Workers for Pool {
    fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        if parts <= 1 {
            (0..parts).for_each(work);
        } else {
            self.pool.install(|| (0..parts).into_par_iter().with_max_len(1).for_each(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// The pool takes its thread over, so each test gives it one of its own.
    fn on_own_thread(work: impl FnOnce() + Send + 'static) {
        std::thread::spawn(work).join().unwrap();
    }

    #[test]
    fn every_part_runs_once_whatever_the_number_of_threads() {
        on_own_thread(|| {
            for threads in [1, 2, 5] {
                std::thread::spawn(move || {
                    let workers = worker_pool(threads);
                    assert_eq!(workers.count(), threads);
                    for parts in [0, 1, 2, 3, 64, 1000] {
                        let calls: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                        workers.run(parts, &|part| {
                            calls[part].fetch_add(1, Ordering::Relaxed);
                        });
                        assert!(calls.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{parts} of {threads}");
                    }
                })
                .join()
                .unwrap();
            }
        });
    }

    #[test]
    fn the_parts_run_on_several_threads() {
        on_own_thread(|| {
            let workers = worker_pool(3);
            // Each part waits for the others: this ends only if all three run at once.
            let barrier = std::sync::Barrier::new(3);
            workers.run(3, &|_| {
                barrier.wait();
            });
        });
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller() {
        on_own_thread(|| {
            let workers = worker_pool(2);
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                workers.run(8, &|part| assert_ne!(part, 5, "part five"));
            }));
            assert!(caught.is_err());
        });
    }

    #[test]
    fn there_is_at_least_one_core() {
        assert!(physical_cores() >= 1);
    }
}
