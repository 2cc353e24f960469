//! What a matrix's columns mean to each other, and how to round a matrix with that in mind.
//!
//! A layer's error is `tr(E H E^T)`, E the weights' error and H the mean of `x x^T` over the layer's inputs x. With
//! `H = L D L^T`, L unit lower triangular in blocks of 16, a block of columns is rounded behind all to its right, and
//! what went wrong there is made good by `E L` (LDLQ: QuIP, Chee et al. 2023, section 4; in blocks: QuIP#, Tseng et al.
//! 2024, section 4.1).

mod cholesky;
mod feedback;
mod hessian;
mod levels;
mod parallel;
mod product;
mod rounding;
mod scalar;
mod together;

pub(crate) use parallel::for_pieces;
pub use product::Strides;
pub(crate) use product::{columns_of, product_f32, product_f64, rows_of};

pub use feedback::Feedback;
pub use hessian::Hessian;
pub use levels::quantize_levels2;
pub use rounding::{Rounded, Rounding, quantize};
pub use scalar::quantize_q4_0;
