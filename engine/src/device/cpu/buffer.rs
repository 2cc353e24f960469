//! Memory that may be refused, aligned to cache lines.

use super::Workers;
use crate::{Error, Result, file::Aligned};

pub use crate::file::LINE_BYTES;

/// From here on a host may want to choose the pages.
const LARGE_BYTES: usize = 1 << 20;

/// Some zeroed memory.
#[derive(Default)]
pub struct Buffer(Aligned);

impl Buffer {
    /// `what` names the tensor in the error if there is not enough memory.
    pub fn zeroed(workers: &dyn Workers, what: &str, bytes: u64) -> Result<Self> {
        let refused = || refusal(what, bytes);
        let size = usize::try_from(bytes).map_err(|_| refused())?;
        let memory = Aligned::zeroed(size, |addresses| {
            if size >= LARGE_BYTES {
                workers.expect_reading(addresses);
            }
        });
        memory.map(Self).ok_or_else(refused)
    }

    /// Memory that was lent.
    pub fn of(memory: Aligned) -> Self {
        Self(memory)
    }

    /// To be lent.
    pub fn into_memory(self) -> Aligned {
        self.0
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    pub fn floats(&self) -> &[f32] {
        let whole = self.bytes();
        bytemuck::cast_slice(&whole[..whole.len() / 4 * 4])
    }

    pub fn floats_mut(&mut self) -> &mut [f32] {
        let whole = self.bytes_mut();
        let bytes = whole.len() / 4 * 4;
        bytemuck::cast_slice_mut(&mut whole[..bytes])
    }
}

/// What is said where memory is missing; `what` names who asked.
pub fn refusal(what: &str, bytes: u64) -> Error {
    let available_bytes = largest_allocation_bytes(bytes);
    Error::OutOfMemory { what: what.to_owned(), requested_bytes: bytes, available_bytes }
}

/// The largest piece that the allocator still grants, to a MiB, so that the error can say how much is missing. The
/// engine asks no operating system, so it asks the allocator.
fn largest_allocation_bytes(refused_bytes: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let granted =
        |mib: u64| usize::try_from(mib * MIB).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    let (mut low, mut high) = (0, (refused_bytes / MIB).min(1 << 24));
    while low < high {
        let middle = (low + high).div_ceil(2);
        if granted(middle) { low = middle } else { high = middle - 1 }
    }
    low * MIB
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, sync::Mutex};

    use super::*;
    use crate::device::cpu::Serial;

    #[test]
    fn memory_begins_as_zeros_on_a_cache_line() {
        let buffer = Buffer::zeroed(&Serial, "a tensor", 100).unwrap();
        assert_eq!(buffer.bytes(), [0; 100]);
        assert_eq!(buffer.floats(), [0.0; 25]);
        assert_eq!(buffer.bytes().as_ptr().addr() % LINE_BYTES, 0);
    }

    /// Remembers what it was told.
    #[derive(Default)]
    struct Listener(Mutex<Vec<Range<usize>>>);

    impl Workers for Listener {
        fn count(&self) -> usize {
            1
        }

        fn run(&self, _: usize, _: &(dyn Fn(usize) + Sync)) {}

        fn expect_reading(&self, addresses: Range<usize>) {
            self.0.lock().unwrap().push(addresses);
        }
    }

    #[test]
    fn the_host_hears_of_large_buffers_alone() {
        let listener = Listener::default();
        Buffer::zeroed(&listener, "little", 4096).unwrap();
        let large = Buffer::zeroed(&listener, "much", 3 << 20).unwrap();
        let start = large.bytes().as_ptr().addr();
        assert_eq!(*listener.0.lock().unwrap(), std::slice::from_ref(&(start..start + (3 << 20))));
    }

    #[test]
    fn a_refusal_carries_both_numbers() {
        for requested in [1 << 60, u64::MAX] {
            let Err(Error::OutOfMemory { what, requested_bytes, available_bytes }) =
                Buffer::zeroed(&Serial, "the cache", requested)
            else {
                panic!("an exbibyte was granted");
            };
            assert_eq!((what.as_str(), requested_bytes), ("the cache", requested));
            assert!(available_bytes < requested_bytes);
        }
    }
}
