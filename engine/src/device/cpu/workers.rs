//! Who does the work: the engine starts no threads, the host brings them.

/// A pool of threads that a host lends to the engine.
pub trait Workers: Send + Sync {
    /// How many parts can run at the same time; at least 1.
    fn count(&self) -> usize;

    /// Calls `work` once for each number below `parts`, in any order and on any thread, and returns when all calls
    /// have returned.
    fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync));
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
