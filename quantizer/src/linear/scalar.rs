//! LDLQ for blocks of a scale and nibbles, GGML's Q4_0: what GPTQ does (Frantar et al. 2023, section 3), column by
//! column from the last to the first.

use std::sync::{Mutex, PoisonError};

use hearth_engine::{
    device::Workers,
    quant::{
        decode_row,
        trellis::{STRIP_ROWS, TILE_COLUMNS},
    },
    tensor::Format,
};

use super::{
    Feedback, Hessian, Rounded,
    parallel::for_pieces,
    rounding::{divergence_of, to_f16},
};

/// Elements of a block.
const BLOCK: usize = Format::Q4_0.block_elements();
/// Bytes of a block.
const BLOCK_BYTES: usize = Format::Q4_0.block_bytes();
/// The least and the greatest that a nibble stands for.
const RANGE: (f32, f32) = (-8.0, 7.0);
/// Scales that are tried for a block, as parts of the one that reaches its greatest element, with either sign.
const TRIED: [f32; 12] = [1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5];

/// Rounds a matrix (rows, columns) to Q4_0; None if it was cancelled. The columns must be a multiple of 32, and the
/// feedback of single columns.
pub fn quantize_q4_0(
    workers: &dyn Workers,
    hessian: &Hessian,
    feedback: &Feedback,
    is_cancelled: &(dyn Fn() -> bool + Sync),
    weights: &[f32],
) -> Option<Rounded> {
    let columns = hessian.columns();
    let row_bytes = columns / BLOCK * BLOCK_BYTES;
    let mut stored = vec![0; weights.len() / columns * row_bytes];
    let sums = Mutex::new([0.0f64; 2]);
    for_pieces(workers, &mut stored, STRIP_ROWS * row_bytes, &|at, out| {
        if is_cancelled() {
            return;
        }
        let first = at * STRIP_ROWS * columns;
        let rows = &weights[first..weights.len().min(first + STRIP_ROWS * columns)];
        let mut strip = Strip::new(rows, columns);
        for block in (0..columns / TILE_COLUMNS).rev() {
            strip.round(block, feedback);
        }
        strip.write(out);
        let mut decoded = vec![0.0; rows.len()];
        decode_row(Format::Q4_0, out, &mut decoded);
        let [error, whole] = divergence_of(hessian, rows, &decoded);
        let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
        *sums = [sums[0] + error, sums[1] + whole];
    });
    if is_cancelled() {
        return None;
    }
    let mut decoded = vec![0.0; weights.len()];
    decode_row(Format::Q4_0, &stored, &mut decoded);
    let [error, whole] = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    Some(Rounded { stored, decoded, error: if whole > 0.0 { error / whole } else { 0.0 }, whole })
}

/// 16 rows on their way, columns first.
struct Strip {
    count: usize,
    weights: Vec<[f32; STRIP_ROWS]>,
    errors: Vec<[f32; STRIP_ROWS]>,
    /// By block of 32 columns.
    scales: Vec<[f32; STRIP_ROWS]>,
    /// From 0 to 15.
    nibbles: Vec<[u8; STRIP_ROWS]>,
}

impl Strip {
    fn new(rows: &[f32], columns: usize) -> Self {
        let count = rows.len() / columns;
        let mut weights = vec![[0.0; STRIP_ROWS]; columns];
        for (row, values) in rows.chunks_exact(columns).enumerate() {
            for (weights, value) in weights.iter_mut().zip(values) {
                weights[row] = *value;
            }
        }
        let scales = vec![[0.0; STRIP_ROWS]; columns / BLOCK];
        Self {
            count,
            weights,
            errors: vec![[0.0; STRIP_ROWS]; columns],
            scales,
            nibbles: vec![[8; STRIP_ROWS]; columns],
        }
    }

    /// Rounds 16 columns. A block's scales are chosen when its last columns come.
    fn round(&mut self, block: usize, feedback: &Feedback) {
        let first = block * TILE_COLUMNS;
        if (first + TILE_COLUMNS).is_multiple_of(BLOCK) {
            let group = first / BLOCK;
            self.scales[group] = std::array::from_fn(|row| {
                let values: [f32; BLOCK] = std::array::from_fn(|at| self.weights[group * BLOCK + at][row]);
                let worth: [f32; BLOCK] = std::array::from_fn(|at| feedback.worth(group * BLOCK + at));
                best_scale(&values, &worth)
            });
        }
        let scales = self.scales[first / BLOCK];
        let behind = feedback.of(block, self.errors.as_flattened());
        for column in (0..TILE_COLUMNS).rev() {
            let at = first + column;
            for row in 0..STRIP_ROWS {
                let beside = (column + 1..TILE_COLUMNS)
                    .map(|other| feedback.within(block, other, column) * self.errors[first + other][row]);
                let wanted = self.weights[at][row] + behind[column][row] + beside.sum::<f32>();
                let number = nearest(wanted, scales[row]);
                self.nibbles[at][row] = (number - RANGE.0) as u8;
                self.errors[at][row] = self.weights[at][row] - scales[row] * number;
            }
        }
    }

    fn write(&self, out: &mut [u8]) {
        let row_bytes = self.scales.len() * BLOCK_BYTES;
        for (row, out) in out.chunks_exact_mut(row_bytes).enumerate().take(self.count) {
            for (group, out) in out.chunks_exact_mut(BLOCK_BYTES).enumerate() {
                out[..2].copy_from_slice(&half::f16::from_f32(self.scales[group][row]).to_le_bytes());
                for (at, out) in out[2..].iter_mut().enumerate() {
                    let nibble = |at: usize| self.nibbles[group * BLOCK + at][row];
                    *out = nibble(at) | nibble(at + BLOCK / 2) << 4;
                }
            }
        }
    }
}

/// The nearest number that a nibble stands for.
fn nearest(value: f32, scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { (value / scale).round_ties_even().clamp(RANGE.0, RANGE.1) }
}

/// The F16 that leaves the least error where columns are worth that much.
fn best_scale(values: &[f32; BLOCK], worth: &[f32; BLOCK]) -> f32 {
    let greatest = values.iter().fold(0.0f32, |greatest, value| greatest.max(value.abs()));
    let mut best = (f32::INFINITY, 0.0);
    for ratio in TRIED {
        for sign in [1.0, -1.0] {
            let scale = to_f16(sign * ratio * greatest / -RANGE.0);
            let errors = values.iter().zip(worth).map(|(value, worth)| {
                let apart = value - scale * nearest(*value, scale);
                worth * apart * apart
            });
            let error = errors.sum::<f32>();
            if error < best.0 {
                best = (error, scale);
            }
        }
    }
    best.1
}
