//! `rings[tile] = the ring of bits whose windows stand for the levels nearest to 256 targets`: the quantizer's encoder.

use super::shader::encode_tiles::Params;
use crate::quant::trellis::TILE_WEIGHTS;

/// Of the only windows that it knows: the costs of 2^12 fit a workgroup's memory.
pub const WINDOW_BITS: u32 = 12;

/// Encodes tiles, one a workgroup. Its scalar twin is the encoder of `hearth-quantizer`, which finds the same bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncodeTiles {
    /// The shader's.
    pub params: Params,
}

impl EncodeTiles {
    /// For so many tiles of so many bits a weight, 2 to 6, with so many weights on each side of the seam, 1 to 128.
    pub fn new(tiles: u32, bits: u32, seam: u32) -> Self {
        Self { params: Params { tiles, bits, seam } }
    }

    /// A workgroup each.
    pub fn groups(&self) -> [u32; 3] {
        [self.params.tiles, 1, 1]
    }

    /// Words of targets: two in a word.
    pub fn target_words(&self) -> usize {
        self.params.tiles as usize * TILE_WEIGHTS / 2
    }

    /// Words in which the choices of a tile's groups lie, a byte each.
    pub fn choice_words(&self) -> usize {
        self.params.tiles as usize * TILE_WEIGHTS * (1 << (WINDOW_BITS - self.params.bits)) / 4
    }

    /// Words of rings.
    pub fn ring_words(&self) -> usize {
        self.params.tiles as usize * TILE_WEIGHTS * self.params.bits as usize / 32
    }
}
