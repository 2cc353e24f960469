//! LDLQ over the strips of a matrix, and the scales of its rows.

use std::sync::{Mutex, PoisonError};

use hearth_engine::{
    device::Workers,
    quant::trellis::{SCALES_BYTES, STRIP_ROWS, TILE_COLUMNS, TILE_WEIGHTS, decode_tile, strip_bytes, tile_bytes},
};

use super::{
    Feedback, Hessian,
    parallel::for_pieces,
    product::{product_f32, rows_of},
    together::round_together,
};
use crate::trellis::{EncodesTiles, Scratch, Trellis};

/// The first scale of a row, as a part of its root mean square, that leaves a Gaussian source the least error; for 2 to
/// 6 bits. `cargo run --release -p hearth-quantizer --example gaussian` finds them.
const FIRST_SCALES: [f32; 5] = [0.89, 0.94, 1.0, 1.03, 1.06];

/// What is tried around it on some strips, step by step while it gets better: what is made good for columns to the
/// right makes rows longer, and rows that are not Gaussian need to reach further.
const TRIED_RATIO: f32 = 1.06;

/// How many steps at most.
const TRIED_STEPS: i32 = 12;

/// Of all weights, those that a scale should reach.
const FAR_QUANTILE: f64 = 0.998;
/// What of a Gaussian source's that is, in deviations.
const GAUSSIAN_FAR: f32 = 3.09;
/// So much farther at most.
const FAR_MOST: f32 = 16.0;

/// Strips on which that is tried.
const TRIED_STRIPS: usize = 4;

/// How matrices are rounded.
pub struct Rounding<'a> {
    /// The encoder.
    pub trellis: &'a Trellis,
    /// Of the matrices' inputs.
    pub hessian: &'a Hessian,
    /// Of the Hessian.
    pub feedback: &'a Feedback,
    /// Who encodes many tiles at once, if anybody does.
    pub encoder: Option<&'a dyn EncodesTiles>,
    /// Whether scales are tried on some strips first.
    pub tries_scales: bool,
    /// Whether to stop.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// A matrix as it is stored, and what it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounded {
    /// Strips one behind the other.
    pub stored: Vec<u8>,
    /// (rows, columns).
    pub decoded: Vec<f32>,
    /// `tr(E H E^T)`, as a part of `tr(W H W^T)`.
    pub error: f64,
    /// `tr(W H W^T)`.
    pub whole: f64,
}

/// Rounds a matrix (rows, columns); None if it was cancelled. The columns must be a multiple of 16.
pub fn quantize(workers: &dyn Workers, rounding: &Rounding<'_>, weights: &[f32]) -> Option<Rounded> {
    let columns = rounding.hessian.columns();
    let scratches = Mutex::new(Vec::<Scratch>::new());
    let round_strip = |rows: &[f32], factor: f32| {
        let pooled = scratches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = pooled.unwrap_or_default();
        let strip = round_strip(rounding, rows, factor, &mut scratch);
        scratches.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        strip
    };
    let encoder = rounding.encoder.filter(|encoder| encoder.knows(rounding.trellis));
    let together = encoder
        .map(|encoder| move |weights: &[f32], factor: f32| round_together(workers, rounding, encoder, weights, factor));
    let together = together.as_ref().map(|together| together as &RoundsAll<'_>);
    let strips = Strips { columns, round_strip: &round_strip, together, is_cancelled: rounding.is_cancelled };
    let first = FIRST_SCALES[rounding.trellis.bits() as usize - 2];
    let factor = match rounding.tries_scales {
        // From where a few of the weights that lie farthest are reached: between there and a Gaussian's own scale it may
        // get worse before it gets better.
        true => strips.best_factor(workers, weights, first * reach(&strips.sample(weights), columns))?,
        false => first,
    };
    strips.rounded(workers, weights, factor)
}

/// Rounds all strips at once, with a factor of their scales.
type RoundsAll<'a> = dyn Fn(&[f32], f32) -> Vec<Strip> + Sync + 'a;

/// How the strips of a matrix are rounded, whatever their tiles hold.
pub(super) struct Strips<'a> {
    pub columns: usize,
    /// 16 rows, or fewer at the matrix's end, and a factor of their scales.
    pub round_strip: &'a (dyn Fn(&[f32], f32) -> Strip + Sync),
    /// Who does it for all of them at once, if anybody does.
    pub together: Option<&'a RoundsAll<'a>>,
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Strips<'_> {
    /// The matrix with scales times a factor.
    pub fn rounded(&self, workers: &dyn Workers, weights: &[f32], factor: f32) -> Option<Rounded> {
        let (stored, decoded, errors) = self.round(workers, weights, factor)?;
        let [error, whole] = [0, 1].map(|at| errors.iter().map(|error| error[at]).sum::<f64>());
        Some(Rounded { stored, decoded, error: if whole > 0.0 { error / whole } else { 0.0 }, whole })
    }

    /// Some strips of a matrix.
    fn sample(&self, weights: &[f32]) -> Vec<f32> {
        let strips: Vec<&[f32]> = weights.chunks(STRIP_ROWS * self.columns).collect();
        let step = strips.len().div_ceil(TRIED_STRIPS).max(1);
        strips.into_iter().step_by(step).flatten().copied().collect()
    }

    /// The factor of the scales that leaves the least error on some strips, from the first one on.
    pub fn best_factor(&self, workers: &dyn Workers, weights: &[f32], first: f32) -> Option<f32> {
        let sample = self.sample(weights);
        let error_of = |factor: f32| -> Option<f64> {
            let (_, _, errors) = self.round(workers, &sample, factor)?;
            // Each strip counts the same, however long its rows are.
            Some(errors.iter().map(|[error, of]| if *of > 0.0 { error / of } else { 0.0 }).sum())
        };
        let mut best = (error_of(first)?, first);
        for ratio in [TRIED_RATIO, 1.0 / TRIED_RATIO] {
            let before = best.1;
            for step in 1..=TRIED_STEPS {
                let factor = first * ratio.powi(step);
                let error = error_of(factor)?;
                if error >= best.0 {
                    break;
                }
                best = (error, factor);
            }
            if best.1 != before {
                break;
            }
        }
        Some(best.1)
    }

    /// Each strip for itself.
    fn round_apart(&self, workers: &dyn Workers, weights: &[f32], factor: f32) -> Vec<Strip> {
        let mut strips: Vec<Strip> = Vec::new();
        strips.resize_with(weights.len().div_ceil(STRIP_ROWS * self.columns), Strip::default);
        for_pieces(workers, &mut strips, 1, &|at, out| {
            if (self.is_cancelled)() {
                return;
            }
            let first = at * STRIP_ROWS * self.columns;
            let rows = &weights[first..weights.len().min(first + STRIP_ROWS * self.columns)];
            if let Some(out) = out.first_mut() {
                *out = (self.round_strip)(rows, factor);
            }
        });
        strips
    }

    /// Rounds strips side by side.
    #[allow(clippy::type_complexity, reason = "three lists of one length each")]
    fn round(&self, workers: &dyn Workers, weights: &[f32], factor: f32) -> Option<(Vec<u8>, Vec<f32>, Vec<[f64; 2]>)> {
        let strips = match self.together {
            Some(together) => together(weights, factor),
            None => self.round_apart(workers, weights, factor),
        };
        if (self.is_cancelled)() {
            return None;
        }
        let (mut stored, mut decoded, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for strip in strips {
            stored.extend(strip.stored);
            decoded.extend(strip.decoded);
            errors.push(strip.error);
        }
        decoded.truncate(weights.len());
        Some((stored, decoded, errors))
    }
}

/// How much farther than a Gaussian source's a few of the weights lie, at least 1.
fn reach(sample: &[f32], columns: usize) -> f32 {
    let mut lengths: Vec<f32> = Vec::with_capacity(sample.len());
    for row in sample.chunks_exact(columns) {
        let deviation = first_scale(row, 1.0);
        lengths.extend(row.iter().map(|weight| if deviation > 0.0 { weight.abs() / deviation } else { 0.0 }));
    }
    let at = (lengths.len() as f64 * FAR_QUANTILE) as usize;
    if at >= lengths.len() {
        return 1.0;
    }
    let (_, far, _) = lengths.select_nth_unstable_by(at, f32::total_cmp);
    (*far / GAUSSIAN_FAR).clamp(1.0, FAR_MOST)
}

/// A strip that is rounded.
#[derive(Default)]
pub(super) struct Strip {
    stored: Vec<u8>,
    decoded: Vec<f32>,
    /// Its error and what it is a part of.
    error: [f64; 2],
}

/// A strip, its tiles one after the other.
fn round_strip(rounding: &Rounding<'_>, rows: &[f32], factor: f32, scratch: &mut Scratch) -> Strip {
    let mut begun = Begun::new(rows, rounding, factor);
    let mut ring = vec![0; tile_bytes(rounding.trellis.bits())];
    for block in (0..rounding.hessian.columns() / TILE_COLUMNS).rev() {
        rounding.trellis.encode_targets(&begun.targets(rounding, block), scratch, &mut ring);
        begun.take(rounding, block, &ring);
    }
    begun.finish(rounding)
}

/// A strip on its way, from its last block of columns to its first: LDLQ on 16 rows, or on fewer at a matrix's end.
pub(super) struct Begun {
    columns: usize,
    weights: Vec<f32>,
    scales: [f32; STRIP_ROWS],
    stored: Vec<u8>,
    /// (columns, rows), as a tile has them.
    errors: Vec<f32>,
    numbers: Vec<f32>,
}

impl Begun {
    /// With scales of so many times the rows' root mean squares.
    pub fn new(rows: &[f32], rounding: &Rounding<'_>, factor: f32) -> Self {
        let columns = rounding.hessian.columns();
        let mut weights = rows.to_vec();
        weights.resize(STRIP_ROWS * columns, 0.0);
        Self {
            columns,
            scales: std::array::from_fn(|row| first_scale(&weights[row * columns..][..columns], factor)),
            stored: vec![0; strip_bytes(rounding.trellis.bits(), columns)],
            errors: vec![0.0; columns * STRIP_ROWS],
            numbers: vec![0.0; STRIP_ROWS * columns],
            weights,
        }
    }

    /// What a block of columns should be, now that all behind it is rounded.
    pub fn targets(&self, rounding: &Rounding<'_>, block: usize) -> [u16; TILE_WEIGHTS] {
        let feedback = rounding.feedback.of(block, &self.errors);
        rounding.trellis.targets(&std::array::from_fn(|at| {
            let (column, row) = (at / STRIP_ROWS, at % STRIP_ROWS);
            let wanted = self.weights[row * self.columns + block * TILE_COLUMNS + column] + feedback[column][row];
            if self.scales[row] == 0.0 { 0.0 } else { wanted / self.scales[row] }
        }))
    }

    /// Keeps a block's ring, and what it is off by.
    pub fn take(&mut self, rounding: &Rounding<'_>, block: usize, ring: &[u8]) {
        let (columns, bits, code) = (self.columns, rounding.trellis.bits(), rounding.trellis.code());
        self.stored[SCALES_BYTES + block * tile_bytes(bits)..][..tile_bytes(bits)].copy_from_slice(ring);
        for (at, number) in decode_tile(bits, code, ring).into_iter().enumerate() {
            let (column, row) = (block * TILE_COLUMNS + at / STRIP_ROWS, at % STRIP_ROWS);
            let number = f32::from(number) * code.codebook.unit();
            self.numbers[row * columns + column] = number;
            self.errors[column * STRIP_ROWS + row] = self.weights[row * columns + column] - self.scales[row] * number;
        }
    }

    /// Fits the scales to what the rows have become.
    pub fn finish(self, rounding: &Rounding<'_>) -> Strip {
        finish(rounding.hessian, &self.weights, self.numbers, self.scales, self.stored)
    }
}

/// The scale that a row begins with, as F16 holds it.
fn first_scale(row: &[f32], factor: f32) -> f32 {
    let square: f64 = row.iter().map(|weight| f64::from(*weight).powi(2)).sum();
    to_f16((factor as f64 * (square / row.len().max(1) as f64).sqrt()) as f32)
}

/// The nearest F16 of finite value.
pub(super) fn to_f16(scale: f32) -> f32 {
    half::f16::from_f32(if scale.is_finite() { scale.clamp(-65504.0, 65504.0) } else { 0.0 }).to_f32()
}

/// Fits the scales to what the rows have become, `s = w H q / q H q`, and writes them.
pub(super) fn finish(
    hessian: &Hessian,
    weights: &[f32],
    mut numbers: Vec<f32>,
    scales: [f32; STRIP_ROWS],
    mut stored: Vec<u8>,
) -> Strip {
    let columns = hessian.columns();
    let moments = |matrix: &[f32]| {
        let mut out = vec![0.0; STRIP_ROWS * columns];
        let shape = [STRIP_ROWS, columns, columns];
        let strides = rows_of(columns);
        product_f32(shape, 1.0, (matrix, strides), (hessian.sum(), strides), 0.0, (&mut out, strides));
        out
    };
    let (of_numbers, of_weights) = (moments(&numbers), moments(weights));
    let mut error = [0.0; 2];
    for (row, scale) in scales.into_iter().enumerate() {
        let range = row * columns..(row + 1) * columns;
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a[range.clone()].iter().zip(&b[range.clone()]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let (cross, square) = (dot(weights, &of_numbers), dot(&numbers, &of_numbers));
        let fitted = to_f16((cross / square) as f32);
        let scale = if square > 0.0 && fitted.is_finite() && fitted > 0.0 { fitted } else { scale };
        stored[2 * row..2 * row + 2].copy_from_slice(&half::f16::from_f32(scale).to_le_bytes());
        let (whole, scale) = (dot(weights, &of_weights), f64::from(scale));
        error[0] += whole - 2.0 * scale * cross + scale * scale * square;
        error[1] += whole;
        numbers[range].iter_mut().for_each(|number| *number *= scale as f32);
    }
    Strip { stored, decoded: numbers, error }
}

/// `tr(E H E^T)` and `tr(W H W^T)` of some rows, E what `decoded` is off by.
pub(super) fn divergence_of(hessian: &Hessian, rows: &[f32], decoded: &[f32]) -> [f64; 2] {
    let columns = hessian.columns();
    let apart: Vec<f32> = rows.iter().zip(decoded).map(|(weight, decoded)| weight - decoded).collect();
    [apart.as_slice(), rows].map(|matrix| {
        let mut moments = vec![0.0; matrix.len()];
        let (shape, strides) = ([matrix.len() / columns, columns, columns], rows_of(columns));
        product_f32(shape, 1.0, (matrix, strides), (hessian.sum(), strides), 0.0, (&mut moments, strides));
        matrix.iter().zip(&moments).map(|(weight, moment)| f64::from(*weight) * f64::from(*moment)).sum()
    })
}
