//! Panels, the inner part of every product with a batch (Goto and van de Geijn 2008): 32 rows, unpacked into the nearest
//! cache and turned, so that a vector holds the same column of several rows. Then the tokens go through, as many at
//! once as the registers hold sums for.

use super::{
    dot::decode_rest,
    simd::{BLOCK, Simd},
    stored::{Stored, with_format},
};
use crate::{
    kernel::Matrix,
    quant::{
        strips,
        trellis::{self, STRIP_ROWS, TILE_COLUMNS},
    },
};

/// Some columns of 32 rows: a column lies in one piece.
pub type Panel = [[f32; BLOCK]];

/// Unpacks as many columns as `panel` has, from `first_column` on; rows that the matrix lacks become zeros.
#[inline(always)]
pub fn fill<S: Simd>(simd: S, weights: Matrix<'_>, first_row: usize, first_column: usize, panel: &mut Panel) {
    match weights.format.strip_bits() {
        Some(bits) => fill_from_strips(bits, weights, first_row, first_column, panel),
        None => with_format!(weights.format, W => fill_from::<S, W>(simd, weights, first_row, first_column, panel)),
    }
}

/// The same from rows in strips, whose columns lie as a panel wants them. `first_column` begins a tile.
#[inline(always)]
fn fill_from_strips(bits: u32, weights: Matrix<'_>, first_row: usize, first_column: usize, panel: &mut Panel) {
    let (tile_bytes, strip_bytes) = (trellis::tile_bytes(bits), STRIP_ROWS * weights.row_bytes());
    let unit = strips::unit(weights.format, weights.code);
    let strips = weights.bytes[first_row * weights.row_bytes()..].chunks_exact(strip_bytes);
    for (nth, strip) in strips.take(BLOCK / STRIP_ROWS).enumerate() {
        let scales = trellis::row_scales(strip).map(|scale| scale * unit);
        let tiles = strip[trellis::SCALES_BYTES..].chunks_exact(tile_bytes).skip(first_column / TILE_COLUMNS);
        for (tile, columns) in tiles.zip(panel.chunks_mut(TILE_COLUMNS)) {
            let numbers = strips::decode_tile(weights.format, weights.code, tile);
            for (numbers, column) in numbers.as_chunks::<STRIP_ROWS>().0.iter().zip(columns) {
                let rows = &mut column[nth * STRIP_ROWS..][..STRIP_ROWS];
                for ((row, number), scale) in rows.iter_mut().zip(numbers).zip(scales) {
                    *row = scale * f32::from(*number);
                }
            }
        }
    }
}

#[inline(always)]
fn fill_from<S: Simd, W: Stored>(
    simd: S,
    weights: Matrix<'_>,
    first_row: usize,
    first_column: usize,
    panel: &mut Panel,
) {
    let rows = BLOCK.min(weights.rows - first_row);
    let mut square = [[0.0; BLOCK]; BLOCK];
    for (nth, columns) in panel.chunks_mut(BLOCK).enumerate() {
        for (row, numbers) in square.iter_mut().enumerate().take(rows) {
            let (blocks, rest) = W::blocks(weights.row(first_row + row));
            let part = first_column / BLOCK + nth;
            match blocks.get(part / W::PARTS) {
                Some(bytes) => simd.store(scaled::<S, W>(simd, bytes, part % W::PARTS), numbers),
                None => *numbers = decode_rest::<W>(rest, columns.len()),
            }
        }
        for (column, numbers) in columns.iter_mut().enumerate() {
            for row in 0..BLOCK {
                numbers[row] = square[row][column];
            }
        }
    }
}

#[inline(always)]
fn scaled<S: Simd, W: Stored>(simd: S, bytes: &W::Bytes, part: usize) -> S::Block {
    let mut numbers = W::decode(simd, bytes, part);
    if W::SCALED {
        let scale = simd.splat(W::scale(simd, bytes));
        for number in numbers.as_mut() {
            *number = simd.mul(*number, scale);
        }
    }
    numbers
}

/// The products of the panel's rows with each token's `x`, which is as long as the panel.
#[inline(always)]
pub fn multiply<S: Simd, const TOKENS: usize>(simd: S, panel: &Panel, x: [&[f32]; TOKENS]) -> [S::Block; TOKENS] {
    let mut sums = [simd.splat_block(0.0); TOKENS];
    pass::<S, TOKENS, 0>(simd, panel, x, &mut sums);
    if S::TILE_PASSES > 1 {
        pass::<S, TOKENS, 1>(simd, panel, x, &mut sums);
    }
    if S::TILE_PASSES > 2 {
        pass::<S, TOKENS, 2>(simd, panel, x, &mut sums);
        pass::<S, TOKENS, 3>(simd, panel, x, &mut sums);
    }
    sums
}

#[inline(always)]
fn pass<S: Simd, const TOKENS: usize, const PASS: usize>(
    simd: S,
    panel: &Panel,
    x: [&[f32]; TOKENS],
    sums: &mut [S::Block; TOKENS],
) {
    for (column, numbers) in panel.iter().enumerate() {
        let numbers = simd.load(numbers);
        let vectors = numbers.as_ref().len() / S::TILE_PASSES;
        for token in 0..TOKENS {
            let x = simd.splat(x[token][column]);
            for vector in PASS * vectors..(PASS + 1) * vectors {
                let sum = &mut sums[token].as_mut()[vector];
                *sum = simd.mul_add(numbers.as_ref()[vector], x, *sum);
            }
        }
    }
}

/// Calls a function that is generic over a number of tokens with the largest that the registers take and that are
/// left, until none is: each call returns how many it took.
macro_rules! by_tiles {
    ($S:ident, $left:expr, $TOKENS:ident => $call:expr) => {
        loop {
            let left: usize = $left;
            if $S::TILE_TOKENS >= 12 && left >= 12 {
                const $TOKENS: usize = 12;
                $call
            } else if $S::TILE_TOKENS >= 6 && left >= 6 {
                const $TOKENS: usize = 6;
                $call
            } else if left >= 4 {
                const $TOKENS: usize = 4;
                $call
            } else if left >= 2 {
                const $TOKENS: usize = 2;
                $call
            } else if left == 1 {
                const $TOKENS: usize = 1;
                $call
            } else {
                break;
            }
        }
    };
}
pub(super) use by_tiles;
