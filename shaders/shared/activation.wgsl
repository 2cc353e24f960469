// What a gate does to its numbers: silu or, if `kind` is 1, gelu in its tanh form (Hendrycks and Gimpel 2016).
fn activate(value: f32, kind: u32) -> f32 {
    var slope = value;
    // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), with u = sqrt(2 / pi) (x + 0.044715 x^3).
    if (kind == 1u) { slope = value * (1.5957692 + 0.071354814 * value * value); }
    return value / (1.0 + exp(-slope));
}
