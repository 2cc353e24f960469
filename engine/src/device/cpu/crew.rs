//! Threads that stay: a native host's, and a page's workers. The host starts them, each calls [`Crew::serve`], and from
//! then on they take parts of whatever the engine does. A step is hundreds of small products, so nobody is put to sleep between two of them: whoever waits looks
//! for a while whether there is more before it lets its core go.

use std::{
    any::Any,
    cell::UnsafeCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Condvar, Mutex, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst},
    },
};

use super::Workers;

/// Set in [`Crew::gate`] while parts are on offer; the bits below count those who take some.
const OPEN: u32 = 1 << 31;

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// What is on offer.
struct Job {
    work: *const Work<'static>,
    parts: usize,
}

/// Several threads, of which the one that calls [`Workers::run`] is one.
pub struct Crew {
    count: usize,
    /// How often a thread looks before it sleeps.
    looks: u32,
    /// Held by whoever offers work.
    offering: Mutex<()>,
    job: UnsafeCell<Option<Job>>,
    /// The next part that nobody has taken.
    next: AtomicUsize,
    gate: AtomicU32,
    /// How many jobs there have been.
    jobs: AtomicU32,
    /// Threads that sleep.
    sleepers: AtomicU32,
    bed: Mutex<()>,
    alarm: Condvar,
    /// What a part panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Whether a thread is gone that may have had a part.
    is_broken: AtomicBool,
}

// SAFETY: `job` is written by the one who holds `offering`, while the gate is shut and nobody is inside, and read by those
// who have passed the gate; passing it orders the write before the read. What the job points to may be called from any
// thread, and the one who offers it stays until all have left.
unsafe impl Sync for Crew {}
// SAFETY: as above; nothing in it belongs to a thread.
unsafe impl Send for Crew {}

impl Crew {
    /// For so many threads, with the one that will offer the work. Who waits looks so often before it sleeps; it should
    /// take longer than lies between two products, some 20 microseconds.
    pub fn new(count: usize, looks: u32) -> Self {
        Self {
            count: count.max(1),
            looks,
            offering: Mutex::default(),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            gate: AtomicU32::new(0),
            jobs: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            bed: Mutex::default(),
            alarm: Condvar::new(),
            panic: Mutex::default(),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Takes parts of work for ever; returns only if the crew is broken. Each thread but the one that offers work calls it
    /// once.
    pub fn serve(&self) {
        let mut seen = 0;
        while !self.is_broken.load(SeqCst) {
            self.wait_until(|| self.jobs.load(SeqCst) != seen);
            seen = self.jobs.load(SeqCst);
            if self.enter() {
                self.take_parts();
                // The last one, when nothing is on offer any more.
                if self.gate.fetch_sub(1, SeqCst) == 1 {
                    self.wake(u32::MAX);
                }
            }
        }
    }

    /// Tells the crew that one of its threads is gone: the work at hand will never be done.
    pub fn give_up(&self) {
        self.is_broken.store(true, SeqCst);
        self.wake(u32::MAX);
    }

    /// How many of the threads sleep.
    pub fn sleeping(&self) -> u32 {
        self.sleepers.load(SeqCst)
    }

    /// Goes through the gate, if it is open.
    fn enter(&self) -> bool {
        let one_more = |gate| (gate & OPEN != 0).then(|| gate + 1);
        self.gate.fetch_update(SeqCst, SeqCst, one_more).is_ok()
    }

    /// Does parts until there are none. Only for who has passed the gate, or opened it.
    fn take_parts(&self) {
        // SAFETY: the job was written before the gate was opened, and will not be again before all have left.
        let Some(Job { work, parts }) = (unsafe { &*self.job.get() }) else { return };
        // SAFETY: whoever offers it stays in `run` until all have left.
        let work = unsafe { &**work };
        loop {
            let part = self.next.fetch_add(1, SeqCst);
            if part >= *parts {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(part))) {
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            }
        }
    }

    /// Looks for a while, then sleeps, until something is so, or the crew is broken.
    fn wait_until(&self, is_so: impl Fn() -> bool) {
        let is_over = || is_so() || self.is_broken.load(SeqCst);
        if is_over() {
            return;
        }
        for _ in 0..self.looks {
            if is_over() {
                return;
            }
            std::hint::spin_loop();
        }
        let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever changes what is waited for looks for sleepers afterwards; so one of the two sees the other.
        self.sleepers.fetch_add(1, SeqCst);
        while !is_over() {
            bed = self.alarm.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }

    /// Wakes who sleeps, or so many of them.
    fn wake(&self, most: u32) {
        let sleepers = self.sleepers.load(SeqCst);
        if sleepers == 0 {
            return;
        }
        drop(self.bed.lock().unwrap_or_else(PoisonError::into_inner));
        if sleepers <= most {
            self.alarm.notify_all();
        } else {
            (0..most).for_each(|_| self.alarm.notify_one());
        }
    }
}

impl Workers for Crew {
    fn count(&self) -> usize {
        self.count
    }

    fn run(&self, parts: usize, work: &Work<'_>) {
        let offering = match self.offering.try_lock() {
            Ok(offering) => Some(offering),
            // Of a part that panicked: the job is over all the same.
            Err(TryLockError::Poisoned(offering)) => Some(offering.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        // Work within work, or of another thread: the caller does it alone.
        let (Some(_offering), true) = (offering, parts > 1 && self.count > 1) else {
            return (0..parts).for_each(work);
        };
        // SAFETY: only the lifetime changes, and the pointer is not followed once this function has returned.
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        // SAFETY: the gate is shut and nobody is inside: the last job saw to that.
        unsafe { *self.job.get() = Some(Job { work, parts }) };
        self.next.store(0, SeqCst);
        self.gate.store(OPEN, SeqCst);
        self.jobs.fetch_add(1, SeqCst);
        // Only those who look for work can sleep now, and one part is the caller's.
        self.wake(u32::try_from(parts - 1).unwrap_or(u32::MAX));
        self.take_parts();
        self.gate.fetch_and(!OPEN, SeqCst);
        self.wait_until(|| self.gate.load(SeqCst) == 0);
        assert!(!self.is_broken.load(SeqCst), "a thread of the engine has died");
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}
