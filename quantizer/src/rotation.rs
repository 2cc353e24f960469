//! The engine's rotations, for vectors and for the matrices between them: they spread what stands out in a few columns
//! over all of them, so that weights look Gaussian (QuIP#, Tseng et al. 2024, section 3).

use hearth_engine::quant::rotation::{block_of, hadamard, signs};

/// A rotation of vectors of some width.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    block: usize,
    /// None are all +1.
    signs: Option<Vec<f32>>,
}

impl Rotation {
    /// Signs of that seed, and blocks of the greatest power of two that divides the width.
    pub fn signed(width: usize, seed: u64) -> Self {
        Self { block: power_of_two_in(width), signs: Some(signs(seed, width)) }
    }

    /// No signs, and blocks of so many, a power of two.
    pub fn plain(block: usize) -> Self {
        Self { block: power_of_two_in(block), signs: None }
    }

    /// Turns each vector; `x` is a whole number of them.
    pub fn apply(&self, x: &mut [f32]) {
        self.flip(x);
        hadamard(x, self.block);
    }

    /// Turns each vector back.
    pub fn undo(&self, x: &mut [f32]) {
        hadamard(x, self.block);
        self.flip(x);
    }

    fn flip(&self, x: &mut [f32]) {
        if let Some(signs) = &self.signs {
            for x in x.chunks_exact_mut(signs.len().max(1)) {
                for (x, sign) in x.iter_mut().zip(signs) {
                    *x *= sign;
                }
            }
        }
    }

    /// Turns a matrix (rows, columns) from the left: its columns are the vectors.
    pub fn apply_to_columns(&self, matrix: &mut [f32], columns: usize) {
        self.over_columns(matrix, columns, Self::apply);
    }

    /// Turns the columns of a matrix back.
    pub fn undo_columns(&self, matrix: &mut [f32], columns: usize) {
        self.over_columns(matrix, columns, Self::undo);
    }

    fn over_columns(&self, matrix: &mut [f32], columns: usize, turn: impl Fn(&Self, &mut [f32])) {
        let mut column = vec![0.0; matrix.len() / columns.max(1)];
        for at in 0..columns {
            for (out, row) in column.iter_mut().zip(matrix.chunks_exact(columns)) {
                *out = row[at];
            }
            turn(self, &mut column);
            for (value, row) in column.iter().zip(matrix.chunks_exact_mut(columns)) {
                row[at] = *value;
            }
        }
    }
}

/// The greatest power of two that divides it.
pub fn power_of_two_in(width: usize) -> usize {
    block_of(u32::try_from(width).unwrap_or(0)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn vector(width: usize) -> Vec<f32> {
        let mut random = Random::new(3);
        (0..width).map(|_| random.normal() as f32).collect()
    }

    #[test]
    fn what_is_turned_back_is_what_it_was() {
        for width in [16, 96, 256, 288] {
            let rotation = Rotation::signed(width, 5);
            let given = vector(2 * width);
            let mut turned = given.clone();
            rotation.apply(&mut turned);
            let moved = given.iter().zip(&turned).filter(|(given, turned)| (*given - *turned).abs() > 1e-3).count();
            assert!(moved > width, "{width}: {moved}");
            let lengths = [&given, &turned].map(|x| x.iter().map(|x| x * x).sum::<f32>());
            assert!((lengths[0] - lengths[1]).abs() < 1e-3 * lengths[0], "{lengths:?}");
            rotation.undo(&mut turned);
            assert!(given.iter().zip(&turned).all(|(given, turned)| (given - turned).abs() < 1e-5));
        }
    }

    #[test]
    fn one_that_stands_out_is_spread_evenly() {
        let mut x = vec![0.0; 64];
        x[9] = 8.0;
        Rotation::plain(64).apply(&mut x);
        assert!(x.iter().all(|x| (x.abs() - 1.0).abs() < 1e-6), "{x:?}");
    }

    #[test]
    fn a_product_stays_what_it_was_when_both_sides_turn() {
        let (rows, columns) = (32, 48);
        let (weights, x) = (vector(rows * columns), vector(columns));
        let product = |weights: &[f32], x: &[f32]| -> Vec<f32> {
            weights.chunks_exact(columns).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
        };
        let expected = product(&weights, &x);
        let (input, output) = (Rotation::signed(columns, 1), Rotation::signed(rows, 2));
        let (mut turned, mut turned_x) = (weights, x);
        input.apply(&mut turned);
        output.apply_to_columns(&mut turned, columns);
        input.apply(&mut turned_x);
        let mut found = product(&turned, &turned_x);
        output.undo(&mut found);
        assert!(expected.iter().zip(&found).all(|(expected, found)| (expected - found).abs() < 1e-4));
    }
}
