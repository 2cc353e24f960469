//! Cholesky's factorisation in panels of columns.

use hearth_engine::device::Workers;

use super::{
    parallel::for_pieces,
    product::{columns_of, product_f64, rows_of},
};

/// Columns of a panel, and rows of a part of the work.
const PANEL: usize = 64;

/// Replaces the lower triangle of a symmetric matrix of n rows by C, `C C^T` the matrix; false if it is not positive
/// definite.
pub fn cholesky(workers: &dyn Workers, matrix: &mut [f64], n: usize) -> bool {
    for first in (0..n).step_by(PANEL) {
        let width = PANEL.min(n - first);
        let (above, below) = matrix.split_at_mut((first + width) * n);
        let mut corner: Vec<f64> =
            (0..width).flat_map(|row| above[(first + row) * n + first..][..width].to_vec()).collect();
        if !factor(&mut corner, width) {
            return false;
        }
        for (row, corner) in corner.chunks_exact(width).enumerate() {
            above[(first + row) * n + first..][..width].copy_from_slice(corner);
        }
        // The rows below: X C^T = A, each row on its own.
        for_pieces(workers, below, PANEL * n, &|_, rows| {
            for row in rows.chunks_exact_mut(n) {
                solve(&corner, width, &mut row[first..first + width]);
            }
        });
        let panel: Vec<f64> = below.chunks_exact(n).flat_map(|row| row[first..first + width].to_vec()).collect();
        // What is left, less X X^T, up to the diagonal.
        for_pieces(workers, below, PANEL * n, &|part, rows| {
            let (count, top) = (rows.len() / n, part * PANEL);
            let x = (&panel[top * width..], rows_of(width));
            let (behind, columns) = (first + width, top + count);
            let out = (&mut rows[behind..], rows_of(n));
            product_f64([count, width, columns], -1.0, x, (&panel, columns_of(width)), 1.0, out);
        });
    }
    true
}

/// A small one.
fn factor(matrix: &mut [f64], n: usize) -> bool {
    for row in 0..n {
        for column in 0..=row {
            let dot: f64 = (0..column).map(|at| matrix[row * n + at] * matrix[column * n + at]).sum();
            let left = matrix[row * n + column] - dot;
            matrix[row * n + column] = if row == column {
                if !(left.is_finite() && left > 0.0) {
                    return false;
                }
                left.sqrt()
            } else {
                left / matrix[column * n + column]
            };
        }
    }
    true
}

/// `x C^T = row`, in the row's place.
fn solve(corner: &[f64], n: usize, row: &mut [f64]) {
    for column in 0..n {
        let dot: f64 = (0..column).map(|at| row[at] * corner[column * n + at]).sum();
        row[column] = (row[column] - dot) / corner[column * n + column];
    }
}
