//! Who does the work: the engine starts no threads, the host brings them.

use std::ops::Range;

/// A pool of threads that a host lends to the engine.
pub trait Workers: Send + Sync {
    /// How many parts can run at the same time; at least 1.
    fn count(&self) -> usize;

    /// Calls `work` once for each number below `parts`, in any order and on any thread, and returns when all calls
    /// have returned.
    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync));

    /// Says that memory at these addresses will be read again and again, from end to end. It is said before the memory
    /// is first touched, so that a host can ask its system for large pages there.
    fn expect_reading(&self, _addresses: Range<usize>) {}
}

/// The caller's thread alone: for WebAssembly, and wherever there is no pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Workers for Serial {
    fn count(&self) -> usize {
        1
    }

    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        for part in 0..parts {
            work(part);
        }
    }
}
