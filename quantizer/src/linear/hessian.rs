//! The second moments of a layer's inputs.

use hearth_engine::device::Workers;

use super::{
    cholesky::cholesky,
    parallel::for_pieces,
    product::{columns_of, product_f32, rows_of},
};

/// Rows of the sum that one part of the work fills.
const PART_ROWS: usize = 64;

/// `sum of x x^T` over inputs x.
#[derive(Clone, Debug)]
pub struct Hessian {
    columns: usize,
    sum: Vec<f32>,
    tokens: u64,
}

impl Hessian {
    /// Of no input so far.
    pub fn new(columns: usize) -> Self {
        Self { columns, sum: vec![0.0; columns * columns], tokens: 0 }
    }

    /// Where all columns count the same.
    pub fn identity(columns: usize) -> Self {
        Self::new(columns).with_identity(1.0)
    }

    /// With so much of its mean square, or of 1 where it has none, added to each column's own.
    pub fn with_identity(mut self, part: f32) -> Self {
        let mean = self.mean_square();
        let added = part * if mean.is_finite() && mean > 0.0 { mean as f32 } else { 1.0 };
        self.sum.iter_mut().step_by(self.columns + 1).for_each(|sum| *sum += added);
        self
    }

    /// Inputs' length.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many inputs there were.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The sum, (columns, columns).
    pub fn sum(&self) -> &[f32] {
        &self.sum
    }

    /// Adds inputs: (tokens, columns).
    pub fn add(&mut self, workers: &dyn Workers, x: &[f32]) {
        let columns = self.columns;
        let tokens = x.len() / columns.max(1);
        self.tokens += tokens as u64;
        for_pieces(workers, &mut self.sum, PART_ROWS * columns, &|part, sum| {
            let rows = sum.len() / columns;
            let left = (&x[part * PART_ROWS..], columns_of(columns));
            product_f32([rows, tokens, columns], 1.0, left, (x, rows_of(columns)), 1.0, (sum, rows_of(columns)));
        });
    }

    /// Mean of the squares of all inputs' elements.
    fn mean_square(&self) -> f64 {
        let trace: f64 = (0..self.columns).map(|at| f64::from(self.sum[at * self.columns + at])).sum();
        trace / self.columns.max(1) as f64
    }

    /// The lower triangle C of `H + damping * mean of the diagonal = C C^T`, (columns, columns); what stands above the
    /// diagonal is no part of it. Damping grows where it is too little.
    pub fn cholesky(&self, workers: &dyn Workers, damping: f64) -> Vec<f64> {
        let mean = self.mean_square();
        // Without any input all columns are worth the same.
        let mean = if mean.is_finite() && mean > 0.0 { mean } else { 1.0 };
        let mut damping = damping;
        loop {
            let mut matrix: Vec<f64> = self.sum.iter().map(|sum| f64::from(*sum)).collect();
            for at in 0..self.columns {
                matrix[at * self.columns + at] += damping * mean;
            }
            if cholesky(workers, &mut matrix, self.columns) {
                return matrix;
            }
            if damping > 1e6 {
                // What is no number anywhere is no measure either.
                let mut identity = vec![0.0; self.columns * self.columns];
                identity.iter_mut().step_by(self.columns + 1).for_each(|one| *one = 1.0);
                return identity;
            }
            damping = (damping * 10.0).max(1e-4);
        }
    }
}
