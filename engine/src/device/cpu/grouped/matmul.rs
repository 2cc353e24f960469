//! A batch: the weights of sixteen rows and some columns are unpacked once, into the nearest cache, and all tokens go
//! through them, as many at once as the registers hold sums for.

use super::{
    Groups, XPart,
    activations::{self, lots},
    formats::{Grouped, Kind, with_grouped},
    wanted,
};
use crate::device::cpu::{
    SimdLevel, Workers, parts,
    simd::{BLOCK, QUAD, ROWS, Simd, Task},
};

/// Parts of a panel: 24 KiB.
const PANEL_PARTS: usize = 32;

/// Products that are worth waking a worker for.
const PART_PRODUCTS: usize = 1 << 20;

/// 32 unpacked columns of sixteen rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct PanelPart {
    fours: [[u8; QUAD]; BLOCK / 4],
    scales: [[f32; ROWS]; 2],
    minima: [[f32; ROWS]; 2],
}

impl PanelPart {
    const EMPTY: Self = Self { fours: [[0; QUAD]; BLOCK / 4], scales: [[0.0; ROWS]; 2], minima: [[0.0; ROWS]; 2] };
}

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
    parts::each(workers, pieces, |piece| level.run(piece));
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

impl Task for Piece<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_grouped!(self.weights.format, F => self.multiply::<S, F>(simd), ());
    }
}

/// Where panels and tokens meet.
#[derive(Clone, Copy)]
struct Meeting {
    first_row: usize,
    first_part: usize,
    /// Of the lot.
    token: usize,
    accumulate: bool,
}

impl Piece<'_> {
    #[inline(always)]
    fn multiply<S: Simd, F: Grouped>(mut self, simd: S) {
        let row_parts = self.weights.columns / BLOCK;
        let group_bytes = self.weights.group_bytes();
        let mut panel = [PanelPart::EMPTY; PANEL_PARTS];
        for first_part in (0..row_parts).step_by(PANEL_PARTS) {
            let panel = &mut panel[..PANEL_PARTS.min(row_parts - first_part)];
            for (nth, group) in self.weights.bytes.chunks_exact(group_bytes).enumerate() {
                fill::<S, F>(simd, &F::blocks(group)[first_part / F::PARTS..], panel);
                let accumulate = self.accumulate || first_part > 0;
                let mut meeting = Meeting { first_row: nth * ROWS, first_part, token: 0, accumulate };
                for (token, size) in lots(self.out.len()) {
                    meeting.token = token;
                    match size {
                        12 => self.multiply_lot::<S, F::Kind, 12>(simd, panel, meeting),
                        6 => self.multiply_lot::<S, F::Kind, 6>(simd, panel, meeting),
                        4 => self.multiply_lot::<S, F::Kind, 4>(simd, panel, meeting),
                        2 => self.multiply_lot::<S, F::Kind, 2>(simd, panel, meeting),
                        _ => self.multiply_lot::<S, F::Kind, 1>(simd, panel, meeting),
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn multiply_lot<S: Simd, K: Kind, const LOT: usize>(&mut self, simd: S, panel: &[PanelPart], meeting: Meeting) {
        let row_parts = self.weights.columns / BLOCK;
        let start = meeting.token * row_parts + meeting.first_part * LOT;
        let x = &self.x[start..][..panel.len() * LOT].as_chunks::<LOT>().0[..panel.len()];
        if S::SUMS_TOKENS >= LOT {
            self.multiply_tokens::<S, K, LOT, LOT>(simd, panel, x, 0, meeting);
        } else if S::SUMS_TOKENS >= 2 && LOT.is_multiple_of(2) {
            for first in (0..LOT).step_by(2) {
                self.multiply_tokens::<S, K, LOT, 2>(simd, panel, x, first, meeting);
            }
        } else {
            for first in 0..LOT {
                self.multiply_tokens::<S, K, LOT, 1>(simd, panel, x, first, meeting);
            }
        }
    }

    /// `TOKENS` of a lot, from the `first` on.
    #[inline(always)]
    fn multiply_tokens<S: Simd, K: Kind, const LOT: usize, const TOKENS: usize>(
        &mut self,
        simd: S,
        panel: &[PanelPart],
        x: &[[XPart; LOT]],
        first: usize,
        meeting: Meeting,
    ) {
        let mut totals = [simd.splat_rows(0.0); TOKENS];
        for (part, x) in panel.iter().zip(x) {
            let Some(x) = x[first..].first_chunk::<TOKENS>() else { return };
            if K::HALVES == 2 {
                add_half::<S, K, TOKENS, 0, 4>(simd, part, x, 0, &mut totals);
                add_half::<S, K, TOKENS, 4, 8>(simd, part, x, 1, &mut totals);
            } else {
                add_half::<S, K, TOKENS, 0, 8>(simd, part, x, 0, &mut totals);
            }
        }
        for (out, total) in self.out[meeting.token + first..].iter_mut().zip(totals) {
            let out = &mut out[meeting.first_row..];
            let mut products = [0.0; ROWS];
            simd.store_rows(total, &mut products);
            for (out, product) in out.iter_mut().zip(products) {
                *out = if meeting.accumulate { *out + product } else { product };
            }
        }
    }
}

/// Adds the products of some fours of columns of a part, which have a scale in common.
#[inline(always)]
fn add_half<S: Simd, K: Kind, const TOKENS: usize, const START: usize, const END: usize>(
    simd: S,
    part: &PanelPart,
    x: &[XPart; TOKENS],
    half: usize,
    totals: &mut [S::Rows; TOKENS],
) {
    let mut sums = [simd.start(0); TOKENS];
    for token in 0..TOKENS {
        sums[token] = simd.start(x[token].starts[half]);
    }
    for four in (START..END).step_by(2) {
        let weights = [simd.load_bytes(&part.fours[four]), simd.load_bytes(&part.fours[four + 1])];
        for token in 0..TOKENS {
            let x = [x[token].fours[four], x[token].fours[four + 1]];
            sums[token] = if K::SIGNED {
                simd.dot_signed(weights, x, sums[token])
            } else {
                simd.dot_unsigned(weights, x, sums[token])
            };
        }
    }
    let scales = simd.load_rows(&part.scales[half]);
    for token in 0..TOKENS {
        totals[token] = simd.mul_scale_add(simd.rows(sums[token]), scales, x[token].scale, totals[token]);
    }
    if K::MINIMA {
        let minima = simd.load_rows(&part.minima[half]);
        for token in 0..TOKENS {
            totals[token] = simd.scale_add(minima, x[token].totals[half], totals[token]);
        }
    }
}

/// Unpacks as many parts as the panel has.
#[inline(always)]
fn fill<S: Simd, F: Grouped>(simd: S, blocks: &[F::Block], panel: &mut [PanelPart]) {
    for (block, panel) in blocks.iter().zip(panel.chunks_mut(F::PARTS)) {
        let block = block.as_ref();
        for (part, panel) in panel.iter_mut().enumerate() {
            for (nth, four) in panel.fours.iter_mut().enumerate() {
                simd.store_bytes(F::four(simd, block, part, nth), four);
            }
            for half in 0..F::Kind::HALVES {
                simd.store_rows(F::scales(simd, block, part, half), &mut panel.scales[half]);
                if F::Kind::MINIMA {
                    simd.store_rows(F::minima(simd, block, part, half), &mut panel.minima[half]);
                }
            }
        }
    }
}
