//! What an encoder needs besides the decoder's kernels: normalisation about the mean, and the Gaussian gate.

use super::{
    SimdLevel, Workers,
    dot::padded,
    parts,
    simd::{BLOCK, Simd, Task},
};
use crate::kernel::{GELU_CUBIC, GELU_LINEAR, Gelu, LayerNorm, Step, TAIL_SERIES, TAIL_STEP};

/// Numbers that are worth waking a worker for.
const PART_NUMBERS: usize = 16 << 10;

/// [`LayerNorm::twin`]. The inputs are x, weight and bias.
pub fn normalise(
    workers: &dyn Workers,
    level: SimdLevel,
    norm: &LayerNorm,
    step: Step,
    [x, weight, bias]: [&[f32]; 3],
    out: &mut [f32],
) {
    let columns = norm.params.columns as usize;
    let used = step.tokens as usize * columns;
    let parts = parts::count(workers, used, PART_NUMBERS);
    let (weight, bias, epsilon) = (&weight[..columns], &bias[..columns], norm.params.epsilon);
    parts::each_slice(workers, parts, columns, &mut out[..used], |first, out| {
        let x = &x[first * columns..][..out.len()];
        level.run(Normalise { x, weight, bias, epsilon, out });
    });
}

struct Normalise<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl Task for Normalise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let columns = self.weight.len();
        for (x, out) in self.x.chunks_exact(columns).zip(self.out.chunks_exact_mut(columns)) {
            let mean = sum(x, |value| value) / columns as f32;
            let squares = sum(x, |value| (value - mean) * (value - mean));
            let factor = 1.0 / (squares / columns as f32 + self.epsilon).sqrt();
            for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(self.weight).zip(self.bias) {
                *out = (x - mean) * factor * weight + bias;
            }
        }
    }
}

/// The sum of a function of each number, in lanes that the compiler keeps in registers of the instruction set.
#[inline(always)]
fn sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<BLOCK>();
    let mut sums = [0.0; BLOCK];
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += term(*value);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| term(*value)).sum::<f32>()
}

/// [`Gelu::twin`].
pub fn gelu(workers: &dyn Workers, level: SimdLevel, gelu: &Gelu, step: Step, x: &[f32], out: &mut [f32]) {
    let used = (step.tokens * gelu.params.columns) as usize;
    let parts = parts::count(workers, used, PART_NUMBERS);
    let tanh_form = gelu.params.tanh_form == 1;
    parts::each_slice(workers, parts, BLOCK, &mut out[..used], |first, out| {
        level.run(Gate { x: &x[first * BLOCK..][..out.len()], tanh_form, out });
    });
}

struct Gate<'a> {
    x: &'a [f32],
    tanh_form: bool,
    out: &'a mut [f32],
}

impl Task for Gate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (x_blocks, x_rest) = self.x.as_chunks::<BLOCK>();
        let (out_blocks, out_rest) = self.out.as_chunks_mut::<BLOCK>();
        for (out, x) in out_blocks.iter_mut().zip(x_blocks) {
            open_gate(simd, self.tanh_form, x, out);
        }
        let mut rest = [0.0; BLOCK];
        open_gate(simd, self.tanh_form, &padded(x_rest), &mut rest);
        out_rest.copy_from_slice(&rest[..out_rest.len()]);
    }
}

#[inline(always)]
fn open_gate<S: Simd>(simd: S, tanh_form: bool, x: &[f32; BLOCK], out: &mut [f32; BLOCK]) {
    let mut numbers = simd.load(x);
    for number in numbers.as_mut() {
        *number = if tanh_form { through_tanh(simd, *number) } else { exactly(simd, *number) };
    }
    simd.store(numbers, out);
}

#[inline(always)]
fn through_tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let factor = simd.mul_add(simd.splat(-GELU_CUBIC), simd.mul(x, x), simd.splat(-GELU_LINEAR));
    simd.div(x, simd.add(simd.splat(1.0), simd.exp(simd.mul(x, factor))))
}

#[inline(always)]
fn exactly<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let zero = simd.splat(0.0);
    let above = simd.max(x, zero);
    // The greater of x and 0, and of -x and 0: one of them is 0.
    let size = simd.add(above, simd.max(simd.sub(zero, x), zero));
    let t = simd.div(simd.splat(1.0), simd.mul_add(simd.splat(TAIL_STEP), size, simd.splat(1.0)));
    let mut series = zero;
    for term in TAIL_SERIES {
        series = simd.mul(simd.add(series, simd.splat(term)), t);
    }
    let decline = simd.exp(simd.mul(simd.splat(-0.5), simd.mul(size, size)));
    let tail = simd.mul(simd.mul(simd.splat(0.5), series), decline);
    simd.sub(above, simd.mul(size, tail))
}
