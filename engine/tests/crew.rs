//! Threads that stay: every part is done once, and whoever is lost is not waited for.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use hearth_engine::device::{Crew, Workers};

/// A crew whose threads run until it is given up.
struct Started(Arc<Crew>, Vec<thread::JoinHandle<()>>);

impl Started {
    fn new(count: usize) -> Self {
        let crew = Arc::new(Crew::new(count, 1000));
        let serve = |_| {
            let crew = crew.clone();
            thread::spawn(move || crew.serve())
        };
        let threads = (1..count).map(serve).collect();
        Self(crew, threads)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.0.give_up();
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn every_part_runs_once_whatever_the_number_of_threads() {
    for count in [1, 2, 5] {
        let crew = Started::new(count);
        assert_eq!(crew.0.count(), count);
        for parts in (0..400).map(|round| round * 7 % 50).chain([5000]) {
            let calls: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            crew.0.run(parts, &|part| {
                calls[part].fetch_add(1, SeqCst);
            });
            assert!(calls.iter().all(|calls| calls.load(SeqCst) == 1), "{parts} parts, {count} threads");
        }
    }
}

#[test]
fn the_parts_run_on_several_threads_also_after_they_slept() {
    let crew = Started::new(3);
    for _ in 0..20 {
        // Each part waits for the others: this ends only if all three run at once.
        let barrier = Barrier::new(3);
        crew.0.run(3, &|_| {
            barrier.wait();
        });
        while crew.0.sleeping() < 2 {
            thread::yield_now();
        }
    }
}

#[test]
fn work_within_work_is_done_too() {
    let crew = Started::new(2);
    let done = AtomicUsize::new(0);
    crew.0.run(4, &|_| {
        crew.0.run(3, &|_| {
            done.fetch_add(1, SeqCst);
        });
    });
    assert_eq!(done.load(SeqCst), 12);
}

#[test]
fn a_panic_in_a_part_reaches_the_caller_and_the_crew_goes_on() {
    let crew = Started::new(2);
    let run = || crew.0.run(8, &|part| assert_ne!(part, 5, "part five"));
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }
    let barrier = Barrier::new(2);
    crew.0.run(2, &|_| {
        barrier.wait();
    });
}

#[test]
fn a_crew_that_lost_a_thread_says_so_instead_of_waiting() {
    let crew = Arc::new(Crew::new(2, 1000));
    let helper = thread::spawn({
        let crew = crew.clone();
        move || crew.serve()
    });
    let (both, over) = (Barrier::new(2), Barrier::new(2));
    let caller = thread::current().id();
    let work = |_| {
        both.wait();
        if thread::current().id() != caller {
            // It is as good as gone: it has a part, and does not come back while the caller waits.
            crew.give_up();
            over.wait();
        }
    };
    assert!(catch_unwind(AssertUnwindSafe(|| crew.run(2, &work))).is_err());
    over.wait();
    helper.join().unwrap();
}
