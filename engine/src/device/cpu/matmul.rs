//! `out[t, r] = sum_c weights[r, c] * x[t, c]`: the matrix of weights times a batch.

use super::{
    SimdLevel, Workers,
    dot::{dot1, padded},
    panel::{self, Panel, by_tiles},
    parts,
    simd::{BLOCK, Simd, Task},
    stored::{Stored, with_format},
};
use crate::kernel::Matrix;

/// Columns of a panel: 32 KiB.
const PANEL_COLUMNS: usize = 256;

/// Up to so many tokens, each is multiplied with the rows as they are stored; a panel would not pay.
const FEW_TOKENS: usize = 3;

/// Products that are worth waking a worker for.
const PART_PRODUCTS: usize = 1 << 20;

/// Multiplies; adds to `out` if `accumulate`. `x` has the batch's tokens and no more.
pub fn matmul(
    workers: &dyn Workers,
    level: SimdLevel,
    x: &[f32],
    weights: Matrix<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    let (tokens, rows) = (x.len() / weights.columns, weights.rows);
    let parts = parts::count(workers, x.len() * rows, PART_PRODUCTS);
    let row_parts = parts.min(rows.div_ceil(BLOCK));
    let token_parts = (parts / row_parts).clamp(1, tokens.div_ceil(BLOCK));
    let part_rows = rows.div_ceil(row_parts).next_multiple_of(BLOCK);
    let part_tokens = tokens.div_ceil(token_parts);
    let mut pieces = Vec::new();
    for (nth, out) in out[..tokens * rows].chunks_mut(part_tokens * rows).enumerate() {
        let x = &x[nth * part_tokens * weights.columns..][..out.len() / rows * weights.columns];
        let first = pieces.len();
        pieces.extend((0..rows).step_by(part_rows).map(|first_row| {
            let weights = weights.part(first_row, part_rows.min(rows - first_row));
            Piece { x, weights, out: Vec::new(), accumulate }
        }));
        for out in out.chunks_exact_mut(rows) {
            for (piece, out) in pieces[first..].iter_mut().zip(out.chunks_mut(part_rows)) {
                piece.out.push(out);
            }
        }
    }
    parts::each(workers, pieces, |piece| level.run(piece));
}

/// Some rows times some tokens.
struct Piece<'a> {
    /// (tokens, columns).
    x: &'a [f32],
    /// (rows, columns).
    weights: Matrix<'a>,
    /// For each token: (rows).
    out: Vec<&'a mut [f32]>,
    accumulate: bool,
}

impl Task for Piece<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        if self.out.len() <= FEW_TOKENS && self.weights.format.strip_bits().is_none() {
            with_format!(self.weights.format, W => self.multiply_rows::<S, W>(simd));
        } else {
            self.multiply_panels(simd);
        }
    }
}

impl Piece<'_> {
    #[inline(always)]
    fn multiply_rows<S: Simd, W: Stored>(&mut self, simd: S) {
        let columns = self.weights.columns;
        for row in 0..self.weights.rows {
            for (out, x) in self.out.iter_mut().zip(self.x.chunks_exact(columns)) {
                let product = dot1::<S, W>(simd, self.weights.row(row), x);
                out[row] = if self.accumulate { out[row] + product } else { product };
            }
        }
    }

    #[inline(always)]
    fn multiply_panels<S: Simd>(&mut self, simd: S) {
        let columns = self.weights.columns;
        let panels = columns.div_ceil(PANEL_COLUMNS);
        let panel_columns = columns.div_ceil(panels).next_multiple_of(BLOCK);
        let mut panel = [[0.0; BLOCK]; PANEL_COLUMNS];
        for first_column in (0..columns).step_by(panel_columns) {
            let panel = &mut panel[..panel_columns.min(columns - first_column)];
            let accumulate = self.accumulate || first_column > 0;
            for first_row in (0..self.weights.rows).step_by(BLOCK) {
                panel::fill(simd, self.weights, first_row, first_column, panel);
                let mut tile = Tile { first_row, first_column, token: 0, accumulate };
                by_tiles!(S, self.out.len() - tile.token, TOKENS => {
                    self.multiply_tile::<S, TOKENS>(simd, panel, tile);
                    tile.token += TOKENS;
                });
            }
        }
    }

    #[inline(always)]
    fn multiply_tile<S: Simd, const TOKENS: usize>(&mut self, simd: S, panel: &Panel, tile: Tile) {
        let mut x: [&[f32]; TOKENS] = [&[]; TOKENS];
        for (token, x) in x.iter_mut().enumerate() {
            let start = (tile.token + token) * self.weights.columns + tile.first_column;
            *x = &self.x[start..start + panel.len()];
        }
        let sums = panel::multiply::<S, TOKENS>(simd, panel, x);
        for (out, sums) in self.out[tile.token..].iter_mut().zip(sums) {
            let out = &mut out[tile.first_row..];
            match out.first_chunk_mut::<BLOCK>() {
                Some(out) => add_or_store(simd, sums, out, tile.accumulate),
                None => {
                    let mut block = padded(out);
                    add_or_store(simd, sums, &mut block, tile.accumulate);
                    out.copy_from_slice(&block[..out.len()]);
                }
            }
        }
    }
}

/// Where some tokens meet a panel.
#[derive(Clone, Copy)]
struct Tile {
    first_row: usize,
    first_column: usize,
    token: usize,
    accumulate: bool,
}

#[inline(always)]
fn add_or_store<S: Simd>(simd: S, mut sums: S::Block, out: &mut [f32; BLOCK], accumulate: bool) {
    if accumulate {
        for (sum, before) in sums.as_mut().iter_mut().zip(simd.load(out).as_ref()) {
            *sum = simd.add(*sum, *before);
        }
    }
    simd.store(sums, out);
}
