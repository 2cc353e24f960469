//! Threads that stay: between two pieces of work they wait awake for a moment, and then asleep. A model's step is a few
//! hundred products of some ten microseconds each, with less than that between them: waking a thread for each would take
//! as long as the work.

use std::{
    any::Any,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use hearth_engine::device::Workers;

use super::pages;

/// How long a thread waits awake: longer than what lies between two products, and no burden to a machine that idles.
const AWAKE: Duration = Duration::from_micros(100);

/// Looks at the door between two looks at the clock.
const LOOKS: u32 = 32;

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// What is to be done, until [`Pool::run`] returns.
#[derive(Clone, Copy)]
struct Job {
    work: &'static Work<'static>,
    parts: usize,
}

/// What callers and threads tell each other.
#[derive(Default)]
struct Board {
    /// Jobs so far.
    posted: u64,
    /// None once all its parts are taken.
    job: Option<Job>,
    /// Threads that wait for the bell.
    asleep: usize,
    closed: bool,
}

/// On a cache line of its own, because threads on different cores write it.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

#[derive(Default)]
struct Shared {
    board: Mutex<Board>,
    bell: Condvar,
    /// [`Board::posted`], for those who wait awake.
    posted: Apart<AtomicU64>,
    /// The next part that nobody has taken.
    next: Apart<AtomicUsize>,
    /// Threads that work on the job.
    inside: Apart<AtomicUsize>,
    /// Whether the caller waits asleep for the last of them.
    awaited: AtomicBool,
    end: Mutex<()>,
    ended: Condvar,
    /// The first panic of the job.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// None where there are more threads than cores: who waits awake then keeps a worker from its core.
    awake: Option<Duration>,
}

/// A pool of threads, one of which is the caller's.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held by whoever has work done.
    turn: Mutex<()>,
}

impl Pool {
    /// With as many threads as there shall be, or as many as the system grants.
    pub fn new(threads: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared { awake: (threads <= cores).then_some(AWAKE), ..Shared::default() });
        let mut pool = Self { shared, threads: Vec::new(), turn: Mutex::new(()) };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("hearth-worker-{index}"));
            match thread.spawn(move || shared.serve()) {
                Ok(handle) => pool.threads.push(handle),
                Err(error) => {
                    tracing::warn!(%error, wanted = threads, "fewer threads for CPU work; going on with {index}");
                    break;
                }
            }
        }
        pool
    }

    /// Hands the job out, takes part in it, and waits for the others.
    fn share(&self, parts: usize, work: &Work<'_>) {
        // SAFETY: only the lifetime changes. A thread sees the job on the board alone, enters it while the board is
        // locked, and is counted there. This function takes the job off the board, and returns only when nobody is
        // inside any more. Nothing on the way there can panic: the work's own panics are caught.
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        let job = Job { work, parts };
        self.shared.post(job);
        self.shared.take_parts(job);
        locked(&self.shared.board).job = None;
        self.shared.wait_for_end();
    }

    #[cfg(test)]
    fn asleep(&self) -> usize {
        locked(&self.shared.board).asleep
    }
}

impl Workers for Pool {
    fn count(&self) -> usize {
        self.threads.len() + 1
    }

    fn run(&self, parts: usize, work: &Work<'_>) {
        let turn = match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            // From inside a part, or from a second thread.
            Err(TryLockError::WouldBlock) => None,
        };
        if parts <= 1 || self.threads.is_empty() || turn.is_none() {
            (0..parts).for_each(work);
            return;
        }
        self.share(parts, work);
        let panic = locked(&self.shared.panic).take();
        drop(turn);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn expect_reading(&self, addresses: Range<usize>) {
        pages::prefer_large(addresses);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        locked(&self.shared.board).closed = true;
        self.shared.posted.0.fetch_add(1, Ordering::Release);
        self.shared.bell.notify_all();
        for thread in self.threads.drain(..) {
            // It has caught all panics, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn post(&self, job: Job) {
        let mut board = locked(&self.board);
        self.next.0.store(0, Ordering::Relaxed);
        board.posted += 1;
        board.job = Some(job);
        let (posted, asleep) = (board.posted, board.asleep);
        drop(board);
        self.posted.0.store(posted, Ordering::Release);
        // The caller takes part, so one part needs nobody else.
        (1..job.parts.min(asleep + 1)).for_each(|_| self.bell.notify_one());
    }

    /// What a thread does all its life.
    fn serve(&self) {
        let mut seen = 0;
        while let Some(job) = self.enter(&mut seen) {
            self.take_parts(job);
            // The caller's waiting and this are in one order: either it sees that nobody is inside, or it is seen.
            if self.inside.0.fetch_sub(1, Ordering::SeqCst) == 1 && self.awaited.load(Ordering::SeqCst) {
                drop(locked(&self.end));
                self.ended.notify_all();
            }
        }
    }

    /// Waits for a job that was not there when `seen` was the last, and enters it; None when there will be none.
    fn enter(&self, seen: &mut u64) -> Option<Job> {
        loop {
            self.look(|| self.posted.0.load(Ordering::Acquire) != *seen);
            let mut board = locked(&self.board);
            while board.posted == *seen && !board.closed {
                board.asleep += 1;
                board = self.bell.wait(board).unwrap_or_else(PoisonError::into_inner);
                board.asleep -= 1;
            }
            if board.closed {
                return None;
            }
            *seen = board.posted;
            // Whoever comes too late waits for the next.
            if let Some(job) = board.job {
                self.inside.0.fetch_add(1, Ordering::SeqCst);
                return Some(job);
            }
        }
    }

    /// Does parts until none is left. After a panic the rest is left undone.
    fn take_parts(&self, job: Job) {
        let done = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let part = self.next.0.fetch_add(1, Ordering::Relaxed);
                if part >= job.parts {
                    break;
                }
                (job.work)(part);
            }
        }));
        if let Err(panic) = done {
            self.next.0.store(job.parts, Ordering::Relaxed);
            locked(&self.panic).get_or_insert(panic);
        }
    }

    /// Waits until nobody is inside, whose last writes are then seen.
    fn wait_for_end(&self) {
        let is_over = || self.inside.0.load(Ordering::SeqCst) == 0;
        if self.look(is_over) {
            return;
        }
        // Somebody has lost its core.
        let mut end = locked(&self.end);
        self.awaited.store(true, Ordering::SeqCst);
        while !is_over() {
            end = self.ended.wait(end).unwrap_or_else(PoisonError::into_inner);
        }
        self.awaited.store(false, Ordering::SeqCst);
    }

    /// Waits awake for a while. Returns whether it has come true.
    fn look(&self, is_true: impl Fn() -> bool) -> bool {
        if is_true() {
            return true;
        }
        let Some(awake) = self.awake else { return false };
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if is_true() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > awake {
                return false;
            }
        }
    }
}

/// No thread panics while it holds one of these.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
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
            while pool.asleep() < 2 {
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
