//! How errors of columns to the right are made good.

use hearth_engine::{
    device::Workers,
    quant::trellis::{STRIP_ROWS, TILE_COLUMNS},
};

use super::{Hessian, parallel::for_pieces};

/// The blocks of L below the diagonal.
#[derive(Clone, Debug)]
pub struct Feedback {
    columns: usize,
    /// By block of columns: L's rows behind the block, 16 numbers each, one block behind the other.
    blocks: Vec<Vec<f32>>,
    /// The blocks on the diagonal, of single columns' feedback.
    corners: Vec<[f32; TILE_COLUMNS * TILE_COLUMNS]>,
    /// What an error in a column costs when all behind it is made good.
    worth: Vec<f32>,
}

impl Feedback {
    /// Of a Hessian with so much damping, as a part of its mean diagonal. The columns must be a multiple of 16.
    pub fn new(workers: &dyn Workers, hessian: &Hessian, damping: f64) -> Self {
        let n = hessian.columns();
        let lower = hessian.cholesky(workers, damping);
        let mut blocks = vec![Vec::new(); n / TILE_COLUMNS];
        for_pieces(workers, &mut blocks, 1, &|block, out| {
            if let Some(out) = out.first_mut() {
                *out = of_block(&lower, n, block * TILE_COLUMNS);
            }
        });
        Self { columns: n, blocks, corners: Vec::new(), worth: Vec::new() }
    }

    /// The same for columns that are rounded one by one.
    pub fn of_columns(workers: &dyn Workers, hessian: &Hessian, damping: f64) -> Self {
        let n = hessian.columns();
        let lower = hessian.cholesky(workers, damping);
        let mut blocks = vec![Vec::new(); n / TILE_COLUMNS];
        for_pieces(workers, &mut blocks, 1, &|block, out| {
            if let Some(out) = out.first_mut() {
                let first = block * TILE_COLUMNS;
                let rows = lower.chunks_exact(n).skip(first + TILE_COLUMNS);
                let columns = first..first + TILE_COLUMNS;
                *out = rows.flat_map(|row| columns.clone().map(|at| (row[at] / lower[at * n + at]) as f32)).collect();
            }
        });
        let corners = (0..n / TILE_COLUMNS).map(|block| {
            std::array::from_fn(|at| {
                let first = block * TILE_COLUMNS;
                let (row, column) = (first + at / TILE_COLUMNS, first + at % TILE_COLUMNS);
                (lower[row * n + column] / lower[column * n + column]) as f32
            })
        });
        let worth = (0..n).map(|at| lower[at * n + at].powi(2) as f32).collect();
        Self { columns: n, blocks, corners: corners.collect(), worth }
    }

    /// What an error in column `row` of a block adds to its column `column`, which is rounded after it; 0 where blocks
    /// are rounded whole.
    pub fn within(&self, block: usize, row: usize, column: usize) -> f32 {
        self.corners.get(block).map_or(0.0, |corner| corner[row * TILE_COLUMNS + column])
    }

    /// What an error in a column costs when all behind it is made good; 1 where that is not known.
    pub fn worth(&self, column: usize) -> f32 {
        self.worth.get(column).copied().unwrap_or(1.0)
    }

    /// Without any: each column for itself.
    pub fn none(columns: usize) -> Self {
        let blocks = vec![Vec::new(); columns / TILE_COLUMNS];
        Self { columns, blocks, corners: Vec::new(), worth: Vec::new() }
    }

    /// Columns of the matrices that it is for.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// What is added to a block of 16 columns of a strip, columns first, for the errors behind it, (columns, 16 rows).
    pub fn of(&self, block: usize, errors: &[f32]) -> [[f32; STRIP_ROWS]; TILE_COLUMNS] {
        let mut sums = [[0.0; STRIP_ROWS]; TILE_COLUMNS];
        let behind = &errors[(block + 1) * TILE_COLUMNS * STRIP_ROWS..];
        let (rows, behind) = (self.blocks[block].as_chunks::<TILE_COLUMNS>().0, behind.as_chunks::<STRIP_ROWS>().0);
        add_products(rows, behind, &mut sums);
        sums
    }
}

/// `sums[column][row] += factors[i][column] * errors[i][row]` for each i, the least i first. Products and sums are
/// rounded one by one, so that all machines compute the same.
fn add_products(
    factors: &[[f32; TILE_COLUMNS]],
    errors: &[[f32; STRIP_ROWS]],
    sums: &mut [[f32; STRIP_ROWS]; TILE_COLUMNS],
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn wide(
            factors: &[[f32; TILE_COLUMNS]],
            errors: &[[f32; STRIP_ROWS]],
            sums: &mut [[f32; STRIP_ROWS]; TILE_COLUMNS],
        ) {
            plain(factors, errors, sums);
        }
        // SAFETY: the machine has AVX2.
        return unsafe { wide(factors, errors, sums) };
    }
    plain(factors, errors, sums);
}

#[inline(always)]
fn plain(factors: &[[f32; TILE_COLUMNS]], errors: &[[f32; STRIP_ROWS]], sums: &mut [[f32; STRIP_ROWS]; TILE_COLUMNS]) {
    // Four columns' sums stay in registers.
    for (quarter, sums) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let mut held = *sums;
        for (factors, errors) in factors.iter().zip(errors) {
            for (column, held) in held.iter_mut().enumerate() {
                let factor = factors[4 * quarter + column];
                for (held, error) in held.iter_mut().zip(errors) {
                    *held += factor * error;
                }
            }
        }
        *sums = held;
    }
}

/// `C_ij C_jj^-1` for all rows i behind a block j.
fn of_block(lower: &[f64], n: usize, first: usize) -> Vec<f32> {
    let corner = |row: usize, column: usize| lower[(first + row) * n + first + column];
    let mut out = Vec::with_capacity((n - first - TILE_COLUMNS) * TILE_COLUMNS);
    for row in lower.chunks_exact(n).skip(first + TILE_COLUMNS) {
        let mut solved = [0.0f64; TILE_COLUMNS];
        for column in (0..TILE_COLUMNS).rev() {
            let behind: f64 = (column + 1..TILE_COLUMNS).map(|at| solved[at] * corner(at, column)).sum();
            solved[column] = (row[first + column] - behind) / corner(column, column);
        }
        out.extend(solved.map(|number| number as f32));
    }
    out
}
