//! A batch: the weights of sixteen rows and some columns are unpacked once, into the nearest cache, and all tokens go
//! through them, as many at once as the registers hold sums for.

use super::{
    Groups, XPart, activations,
    panel::{Fill, PANEL_PARTS, PanelPart, Products},
    wanted,
};
use crate::device::cpu::{
    SimdLevel, Workers, parts,
    simd::{BLOCK, ROWS},
};

/// Products that are worth waking a worker for.
const PART_PRODUCTS: usize = 256 << 10;

/// Multiplies; adds to `out` if `accumulate`. `x` has the batch's tokens and no more. `parts` is memory for the
/// activations.
pub fn matmul(
    workers: &dyn Workers,
    level: SimdLevel,
    x: &[f32],
    weights: Groups<'_>,
    (out, accumulate): (&mut [f32], bool),
    x_parts: &mut Vec<XPart>,
) {
    let (columns, rows) = (weights.columns, weights.rows);
    let tokens = x.len() / columns;
    activations::quantize(workers, level, (x, columns), wanted(weights.format, level.bias()), x_parts);
    let parts = parts::count(workers, x.len() * rows, PART_PRODUCTS);
    let part_rows = rows.div_ceil(parts).next_multiple_of(ROWS);
    let mut pieces: Vec<Piece<'_>> = (0..rows)
        .step_by(part_rows)
        .map(|first| {
            let weights = weights.part(first, part_rows.min(rows - first));
            Piece { x: x_parts, weights, out: Vec::with_capacity(tokens), accumulate }
        })
        .collect();
    for out in out[..tokens * rows].chunks_exact_mut(rows) {
        for (piece, out) in pieces.iter_mut().zip(out.chunks_mut(part_rows)) {
            piece.out.push(out);
        }
    }
    parts::each(workers, pieces, |piece| piece.multiply(level));
}

/// Some rows times all tokens.
struct Piece<'a> {
    /// In lots: (parts, tokens).
    x: &'a [XPart],
    weights: Groups<'a>,
    /// For each token: (rows).
    out: Vec<&'a mut [f32]>,
    accumulate: bool,
}

impl Piece<'_> {
    fn multiply(mut self, level: SimdLevel) {
        let row_parts = self.weights.columns / BLOCK;
        let mut panel = [PanelPart::EMPTY; PANEL_PARTS];
        for first_part in (0..row_parts).step_by(PANEL_PARTS) {
            let panel = &mut panel[..PANEL_PARTS.min(row_parts - first_part)];
            let groups = self.weights.bytes.chunks_exact(self.weights.group_bytes());
            for (nth, group) in groups.enumerate() {
                level.run_integers(Fill { format: self.weights.format, group, first_part, panel });
                level.run_integers(Products {
                    format: self.weights.format,
                    panel,
                    x: self.x,
                    row_parts,
                    first_part,
                    out: &mut self.out,
                    first_row: nth * ROWS,
                    accumulate: self.accumulate || first_part > 0,
                });
            }
        }
    }
}
