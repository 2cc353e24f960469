//! `cap * tanh(value / cap)`, which bends large values back below the cap.

/// Beyond it the tanh is 1 to F32's precision.
pub const TANH_MAX: f32 = 7.905_311;
/// The numerator's coefficients, of the odd powers from 13 on down. These and [`TANH_Q`] are Eigen's quotient of
/// polynomials (`Eigen/src/Core/MathFunctionsImpl.h`), good to 4e-7 of the result everywhere.
pub const TANH_P: [f32; 7] =
    [-2.760_768_5e-16, 2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_5e-4, 4.893_524_6e-3];
/// The denominator's, of the even powers from 6 on down.
pub const TANH_Q: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_7e-3, 4.893_525e-3];

/// The twin of `shaders/shared/softcap.wgsl`.
pub fn softcap(value: f32, cap: f32) -> f32 {
    let x = (value / cap).clamp(-TANH_MAX, TANH_MAX);
    let polynomial = |terms: &[f32]| terms.iter().fold(0.0, |sum, term| sum * (x * x) + term);
    cap * (x * polynomial(&TANH_P) / polynomial(&TANH_Q))
}
