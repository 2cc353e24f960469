//! What the CPU tells about itself: see [`crate::device::Device`].

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{CpuDevice, Workers, buffer::Buffer, parts};
use crate::{
    Result,
    device::{Timed, Traffic},
    kernel::Step,
};

/// Pieces that workers take: large enough that handing them out costs nothing.
const PIECE_BYTES: usize = 1 << 20;

/// The least that is still worth measuring with.
const PROBE_BYTES_MIN: u64 = 1 << 20;

/// Two pieces of memory, moved by the device's threads.
pub struct MemoryProbe {
    workers: Arc<dyn Workers>,
    from: Buffer,
    to: Buffer,
}

impl MemoryProbe {
    fn new(workers: Arc<dyn Workers>, bytes: u64) -> Result<Self> {
        let mut from = Buffer::zeroed(workers.as_ref(), "a measurement of memory", bytes)?;
        let to = Buffer::zeroed(workers.as_ref(), "a measurement of memory", bytes)?;
        for (word, place) in from.bytes_mut().chunks_exact_mut(4).zip(0u32..) {
            word.copy_from_slice(&pattern(place).to_le_bytes());
        }
        Ok(Self { workers, from, to })
    }

    /// Bytes of each piece.
    pub fn bytes(&self) -> u64 {
        self.from.bytes().len() as u64
    }

    /// See [`crate::device::MemoryProbe::run`].
    pub fn run(&mut self, traffic: Traffic, rounds: u32) -> Option<u32> {
        let mut sum = None;
        for _ in 0..rounds {
            sum = match traffic {
                Traffic::Copy => self.copy(),
                Traffic::Read => Some(self.read()),
            };
        }
        sum
    }

    fn copy(&mut self) -> Option<u32> {
        let (from, to) = (self.from.bytes(), self.to.bytes_mut());
        let pieces = from.chunks(PIECE_BYTES).zip(to.chunks_mut(PIECE_BYTES)).collect();
        parts::each(self.workers.as_ref(), pieces, |(from, to): (&[u8], &mut [u8])| to.copy_from_slice(from));
        black_box(self.to.bytes());
        None
    }

    /// [`crate::kernel::ReadSum`], in whatever order.
    fn read(&self) -> u32 {
        let sum = AtomicU32::new(0);
        let pieces: Vec<&[u8]> = black_box(self.from.bytes()).chunks(PIECE_BYTES).collect();
        parts::each(self.workers.as_ref(), pieces, |piece: &[u8]| {
            sum.fetch_add(sum_of(piece), Ordering::Relaxed);
        });
        sum.into_inner()
    }
}

/// The sum of the words, in lanes that a compiler makes vectors of.
fn sum_of(bytes: &[u8]) -> u32 {
    let mut lanes = [0u32; 16];
    let lines = bytes.as_chunks::<64>();
    for line in lines.0 {
        for (lane, word) in lanes.iter_mut().zip(line.as_chunks::<4>().0) {
            *lane = lane.wrapping_add(u32::from_le_bytes(*word));
        }
    }
    let rest = lines.1.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    lanes.into_iter().chain(rest).fold(0, u32::wrapping_add)
}

/// A word of a probe: no two neighbours are alike.
pub fn pattern(place: u32) -> u32 {
    place.wrapping_mul(0x9e37_79b9) ^ place >> 7
}

impl CpuDevice {
    /// See [`crate::device::Device::allocated_bytes`].
    pub fn allocated_bytes(&self) -> u64 {
        self.storage.allocated_bytes()
    }

    /// See [`crate::device::Device::memory_probe`].
    pub fn memory_probe(&self, bytes: u64) -> Result<MemoryProbe> {
        let mut bytes = bytes.max(PROBE_BYTES_MIN).next_multiple_of(64);
        loop {
            match MemoryProbe::new(Arc::clone(&self.workers), bytes) {
                Err(_) if bytes / 2 >= PROBE_BYTES_MIN => bytes = (bytes / 2).next_multiple_of(64),
                made => return made,
            }
        }
    }

    /// See [`crate::device::Device::time_step`].
    pub fn time_step(&mut self, plan: usize, step: Step, ids: &[u32], now_ms: &dyn Fn() -> f64) -> Result<Vec<Timed>> {
        let mut timed = Vec::new();
        let mut before_ms = now_ms();
        self.run_each(plan, step, ids, &mut |kernel| {
            let after_ms = now_ms();
            timed.push(Timed { kernel, ms: after_ms - before_ms });
            before_ms = after_ms;
        })?;
        Ok(timed)
    }
}
