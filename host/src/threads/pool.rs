//! Threads of this process, for as long as the pool is there.

use std::{ops::Range, sync::Arc, thread::JoinHandle};

use hearth_engine::device::{Crew, Workers};

use super::pages;

/// How often a thread looks for work before it sleeps: 20 to 100 microseconds, as a processor pauses between two looks.
const LOOKS: u32 = 2000;

/// A pool of threads, one of which is the caller's.
pub struct Pool {
    crew: Arc<Crew>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// With as many threads as there shall be, or as many as the system grants.
    pub fn new(threads: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Where there are more threads than cores, who waits awake keeps a worker from its core.
        let looks = if threads <= cores { LOOKS } else { 0 };
        let mut pool = Self { crew: Arc::new(Crew::new(threads, looks)), threads: Vec::new() };
        for index in 1..threads {
            let crew = Arc::clone(&pool.crew);
            let thread = std::thread::Builder::new().name(format!("hearth-worker-{index}"));
            match thread.spawn(move || crew.serve()) {
                Ok(handle) => pool.threads.push(handle),
                Err(error) => {
                    tracing::warn!(%error, wanted = threads, "fewer threads for CPU work; going on with {index}");
                    break;
                }
            }
        }
        pool
    }
}

impl Workers for Pool {
    fn count(&self) -> usize {
        self.threads.len() + 1
    }

    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        self.crew.run(parts, work);
    }

    fn expect_reading(&self, addresses: Range<usize>) {
        pages::prefer_large(addresses);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.crew.give_up();
        for thread in self.threads.drain(..) {
            // It has caught all panics, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// All parts of some jobs in a row, each once.
    fn check(pool: &Pool) {
        for parts in [0, 1, 2, 3, 64, 1000].repeat(20) {
            let calls: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            pool.run(parts, &|part| {
                calls[part].fetch_add(1, Ordering::Relaxed);
            });
            assert!(calls.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{parts} of {}", pool.count());
        }
    }

    #[test]
    fn every_part_runs_once_whatever_the_number_of_threads() {
        // More threads than any machine has cores, too.
        for threads in [1, 2, 5, 300] {
            let pool = Pool::new(threads);
            assert_eq!(pool.count(), threads);
            check(&pool);
        }
    }

    #[test]
    fn the_parts_run_on_several_threads() {
        let pool = Pool::new(3);
        // Each part waits for the others: this ends only if all three run at once.
        let barrier = std::sync::Barrier::new(3);
        for _ in 0..3 {
            pool.run(3, &|_| {
                barrier.wait();
            });
        }
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(3);
        for _ in 0..20 {
            let caught =
                catch_unwind(AssertUnwindSafe(|| pool.run(8, &|part| assert_ne!(part, 5, "part five")))).unwrap_err();
            assert!(caught.downcast_ref::<String>().is_some_and(|text| text.contains("part five")));
            check(&pool);
        }
    }

    #[test]
    fn threads_without_work_fall_asleep_and_wake_again() {
        let pool = Pool::new(3);
        for _ in 0..3 {
            while pool.crew.sleeping() < 2 {
                std::thread::yield_now();
            }
            let barrier = std::sync::Barrier::new(3);
            pool.run(3, &|_| {
                barrier.wait();
            });
        }
    }

    #[test]
    fn work_inside_a_part_and_from_other_threads_is_done_too() {
        let pool = Pool::new(3);
        let count = AtomicUsize::new(0);
        let add = |_| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        pool.run(4, &|_| pool.run(5, &add));
        assert_eq!(count.load(Ordering::Relaxed), 20);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| pool.run(10, &add)));
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 20 + 2000);
    }
}
