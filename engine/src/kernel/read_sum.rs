//! `out[group] = the sum of what its threads read of x`.

use super::{WORKGROUP, shader::read_sum::Params};

/// More workgroups than any GPU runs at once, and few enough that each thread reads many times.
const GROUPS: u32 = 16_384;

/// Reads a buffer from its beginning to its end: what memory can give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadSum {
    /// The shader's.
    pub params: Params,
}

impl ReadSum {
    /// For a buffer of so many fours of words.
    pub fn new(quads: u32) -> Self {
        let groups = quads.div_ceil(WORKGROUP).clamp(1, GROUPS);
        Self { params: Params { quads, threads: groups * WORKGROUP } }
    }

    /// Fewer than one dimension of a dispatch may have.
    pub fn groups(&self) -> [u32; 3] {
        [self.params.threads / WORKGROUP, 1, 1]
    }

    /// The scalar twin: `x` has four words for each of the quads, `out` one for each workgroup.
    pub fn twin(&self, x: &[u32], out: &mut [u32]) {
        out.fill(0);
        for (at, quad) in x.as_chunks::<4>().0.iter().enumerate().take(self.params.quads as usize) {
            let group = at % self.params.threads as usize / WORKGROUP as usize;
            out[group] = quad.iter().fold(out[group], |sum, word| sum.wrapping_add(*word));
        }
    }
}
