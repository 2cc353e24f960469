//! F32 for the work, and F64 for the finite differences that the gradients are checked against.

use std::iter::Sum;

use num_traits::{Float, NumAssign};

use crate::linear::{Strides, product_f32, product_f64};

/// What the tape computes in.
pub trait Number: Float + NumAssign + Sum + Default + Send + Sync + 'static {
    /// The same number.
    fn of(value: f32) -> Self;

    /// As a slice.
    fn of_all(values: Vec<f32>) -> Vec<Self>;

    /// The nearest F64.
    fn to_double(self) -> f64;

    /// `out = factor * a b + keep * out`; `[m, k, n]`: a is (m, k) and b (k, n).
    fn product(
        shape: [usize; 3],
        factor: Self,
        a: (&[Self], Strides),
        b: (&[Self], Strides),
        keep: Self,
        out: (&mut [Self], Strides),
    );
}

impl Number for f32 {
    fn of(value: f32) -> Self {
        value
    }

    fn of_all(values: Vec<f32>) -> Vec<Self> {
        values
    }

    fn to_double(self) -> f64 {
        f64::from(self)
    }

    fn product(
        shape: [usize; 3],
        factor: Self,
        a: (&[Self], Strides),
        b: (&[Self], Strides),
        keep: Self,
        out: (&mut [Self], Strides),
    ) {
        product_f32(shape, factor, a, b, keep, out);
    }
}

impl Number for f64 {
    fn of(value: f32) -> Self {
        Self::from(value)
    }

    fn of_all(values: Vec<f32>) -> Vec<Self> {
        values.into_iter().map(Self::from).collect()
    }

    fn to_double(self) -> f64 {
        self
    }

    fn product(
        shape: [usize; 3],
        factor: Self,
        a: (&[Self], Strides),
        b: (&[Self], Strides),
        keep: Self,
        out: (&mut [Self], Strides),
    ) {
        product_f64(shape, factor, a, b, keep, out);
    }
}
