// The Gaussian error linear unit (Hendrycks and Gimpel 2016): out[i] = x[i] * Phi(x[i]), where Phi is the normal
// distribution's. `tanh_form` 1 is the paper's approximation through tanh ("gelu_new"), with which some models are trained.
//#import shared/step.wgsl

struct Params {
    columns: u32,   // of a row, a multiple of 4
    tanh_form: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;           // (tokens, columns)
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;   // (tokens, columns)

// 1 - Phi(a) for a >= 0, to 8e-8: half the complementary error function of a / sqrt(2), by Abramowitz and Stegun,
// Handbook of Mathematical Functions (1964), formula 7.1.26. WGSL has no erf.
fn upper_tail(a: vec4<f32>) -> vec4<f32> {
    let t = 1.0 / (1.0 + 0.231641888 * a);
    let series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return 0.5 * series * exp(-0.5 * a * a);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let at = flat_group(group, groups) * 64u + thread;
    if (at >= step.tokens * (params.columns >> 2u)) { return; }
    let value = x[at];
    if (params.tanh_form == 1u) {
        // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)), with u = sqrt(2 / pi) (x + 0.044715 x^3).
        let slope = value * (1.5957691 + 0.071354814 * value * value);
        out[at] = value / (1.0 + exp(-slope));
    } else {
        out[at] = max(value, vec4<f32>()) - abs(value) * upper_tail(abs(value));
    }
}
