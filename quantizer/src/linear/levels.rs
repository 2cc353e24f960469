//! LDLQ for LEVELS2, column by column from the last to the first, which is what GPTQ does (Frantar et al. 2023,
//! section 3): the nearest level is found at once, so nothing is gained by rounding tiles whole.

use hearth_engine::{
    device::Workers,
    quant::{
        levels2::{TILE_BYTES, encode_tile},
        trellis::{SCALES_BYTES, STRIP_ROWS, TILE_COLUMNS, TILE_WEIGHTS},
    },
};

use super::{
    Feedback, Hessian, Rounded,
    rounding::{Strip, Strips, finish, to_f16},
};

/// The scale of the least error for a Gaussian source, as a part of its root mean square: half the step of 0.9957
/// deviations of the best uniform quantiser of four levels (Max 1960, table II).
const GAUSSIAN_SCALE: f32 = 0.498;

/// What is tried for each row around it, by so much at a time, downwards and upwards.
const TRIED_RATIO: f32 = 1.06;
const TRIED_STEPS: std::ops::RangeInclusive<i32> = -8..=16;

/// Rounds a matrix (rows, columns) to LEVELS2; None if it was cancelled. The columns must be a multiple of 16, and the
/// feedback of single columns.
pub fn quantize_levels2(
    workers: &dyn Workers,
    hessian: &Hessian,
    feedback: &Feedback,
    tries_scales: bool,
    is_cancelled: &(dyn Fn() -> bool + Sync),
    weights: &[f32],
) -> Option<Rounded> {
    let round_strip = |rows: &[f32], factor: f32| round_strip(hessian, feedback, rows, factor);
    let strips = Strips { columns: hessian.columns(), round_strip: &round_strip, together: None, is_cancelled };
    // What is made good for columns to the right makes rows longer than those whose scales were tried.
    let factor = if tries_scales { strips.best_factor(workers, weights, 1.0)? } else { 1.0 };
    strips.rounded(workers, weights, factor)
}

/// 16 rows, or fewer at a matrix's end.
fn round_strip(hessian: &Hessian, feedback: &Feedback, rows: &[f32], factor: f32) -> Strip {
    let columns = hessian.columns();
    let mut weights = rows.to_vec();
    weights.resize(STRIP_ROWS * columns, 0.0);
    let scales: [f32; STRIP_ROWS] =
        std::array::from_fn(|row| to_f16(factor * best_scale(&weights[row * columns..][..columns], feedback)));
    let mut stored = vec![0; SCALES_BYTES + columns / TILE_COLUMNS * TILE_BYTES];
    // (columns, rows), as a tile has them.
    let mut errors = vec![[0.0f32; STRIP_ROWS]; columns];
    let mut numbers = vec![0.0f32; STRIP_ROWS * columns];
    for block in (0..columns / TILE_COLUMNS).rev() {
        let first = block * TILE_COLUMNS;
        let mut wanted = feedback.of(block, errors.as_flattened());
        let mut indices = [0; TILE_WEIGHTS];
        for column in (0..TILE_COLUMNS).rev() {
            for row in 0..STRIP_ROWS {
                let weight = weights[row * columns + first + column];
                let index = nearest(weight + wanted[column][row], scales[row]);
                let number = 2.0 * index - 3.0;
                indices[column * STRIP_ROWS + row] = index as u8;
                numbers[row * columns + first + column] = number;
                errors[first + column][row] = weight - scales[row] * number;
            }
            for (before, wanted) in wanted.iter_mut().enumerate().take(column) {
                let share = feedback.within(block, column, before);
                for (wanted, error) in wanted.iter_mut().zip(errors[first + column]) {
                    *wanted += share * error;
                }
            }
        }
        encode_tile(&indices, &mut stored[SCALES_BYTES + block * TILE_BYTES..][..TILE_BYTES]);
    }
    finish(hessian, &weights, numbers, scales, stored)
}

/// The index of the nearest level.
#[inline(always)]
fn nearest(value: f32, scale: f32) -> f32 {
    if scale == 0.0 { 2.0 } else { (0.5 * (value / scale) + 1.5).round_ties_even().clamp(0.0, 3.0) }
}

/// The scale that leaves a row the least error where columns are worth what they are.
fn best_scale(row: &[f32], feedback: &Feedback) -> f32 {
    let worth = |column: usize| feedback.worth(column);
    let (square, all) = row.iter().enumerate().fold((0.0f64, 0.0f64), |(square, all), (column, weight)| {
        let worth = f64::from(worth(column));
        (square + worth * f64::from(*weight).powi(2), all + worth)
    });
    let first = GAUSSIAN_SCALE * if all > 0.0 { (square / all).sqrt() as f32 } else { 0.0 };
    if !(first.is_finite() && first > 0.0) {
        return 0.0;
    }
    let error_of = |scale: f32| -> f32 {
        let apart = |weight: f32| weight - scale * (2.0 * nearest(weight, scale) - 3.0);
        row.iter().enumerate().map(|(column, weight)| worth(column) * apart(*weight).powi(2)).sum()
    };
    let mut best = (f32::INFINITY, first);
    for step in TRIED_STEPS {
        let scale = first * TRIED_RATIO.powi(step);
        let error = error_of(scale);
        if error < best.0 {
            best = (error, scale);
        }
    }
    best.1
}
