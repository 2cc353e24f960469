//! Memory that begins on a cache line, so that vectors loaded from it never straddle two, and that a source can be asked
//! to read into: it travels to whoever reads, and comes back.

use bytemuck::{Pod, Zeroable};

/// Of a cache line.
pub const LINE_BYTES: usize = 64;

/// A cache line: no vector of any instruction set is wider.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// Some memory.
#[derive(Default)]
pub struct Aligned {
    lines: Vec<Line>,
    bytes: usize,
}

impl Aligned {
    /// So many zeros; None if there is not so much memory. `before_use` hears the addresses before they are touched.
    pub fn zeroed(bytes: usize, before_use: impl FnOnce(std::ops::Range<usize>)) -> Option<Self> {
        let count = bytes.div_ceil(LINE_BYTES);
        let mut lines = Vec::<Line>::new();
        lines.try_reserve_exact(count).ok()?;
        let start = lines.as_ptr().addr();
        before_use(start..start + bytes);
        lines.resize(count, Line::zeroed());
        Some(Self { lines, bytes })
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }

    /// What is in it, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }
}
