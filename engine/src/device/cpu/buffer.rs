//! Memory that may be refused, aligned to cache lines.

use bytemuck::{Pod, Zeroable};

use super::Workers;
use crate::{Error, Result};

/// Of a cache line.
pub const LINE_BYTES: usize = 64;

/// From here on a host may want to choose the pages.
const LARGE_BYTES: usize = 1 << 20;

/// A cache line: no vector of any instruction set is wider, so aligned loads of a buffer never straddle two.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// Some zeroed memory.
#[derive(Default)]
pub struct Buffer {
    lines: Vec<Line>,
    bytes: usize,
}

impl Buffer {
    /// `what` names the tensor in the error if there is not enough memory.
    pub fn zeroed(workers: &dyn Workers, what: &str, bytes: u64) -> Result<Self> {
        let refused = || refusal(what, bytes);
        let size = usize::try_from(bytes).map_err(|_| refused())?;
        let count = size.div_ceil(LINE_BYTES);
        let mut lines = Vec::<Line>::new();
        lines.try_reserve_exact(count).map_err(|_| refused())?;
        if size >= LARGE_BYTES {
            let start = lines.as_ptr().addr();
            workers.expect_reading(start..start + size);
        }
        lines.resize(count, Line::zeroed());
        Ok(Self { lines, bytes: size })
    }

    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }

    pub fn floats(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes / 4]
    }

    pub fn floats_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes / 4]
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
