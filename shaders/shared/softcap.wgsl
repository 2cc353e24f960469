// cap * tanh(value / cap), which bends large values back below the cap. The tanh is Eigen's quotient of polynomials, good
// to 4e-7 of the result everywhere: a GPU's own may be far coarser, and overflows on some.
fn softcap(value: f32, cap: f32) -> f32 {
    let x = clamp(value / cap, -7.905311, 7.905311);
    let s = x * x;
    var p = -2.760768e-16;
    p = p * s + 2.000188e-13;
    p = p * s - 8.604672e-11;
    p = p * s + 5.122297e-8;
    p = p * s + 1.4857224e-5;
    p = p * s + 6.3726195e-4;
    p = p * s + 4.8935246e-3;
    var q = 1.1982584e-6;
    q = q * s + 1.18534706e-4;
    q = q * s + 2.2684347e-3;
    q = q * s + 4.8935252e-3;
    return cap * (x * p / q);
}
