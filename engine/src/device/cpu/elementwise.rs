//! Norms, gates and rotations: a little work for each number.

use super::{
    SimdLevel, Workers,
    dot::padded,
    parts,
    simd::{BLOCK, Simd, Task},
};
use crate::kernel::{Activation, GELU_CUBIC, GELU_LINEAR, Gated, RmsNorm, Rope, Step};

/// Numbers that are worth waking a worker for.
const PART_NUMBERS: usize = 32 << 10;

/// [`RmsNorm::twin`].
pub fn rms_norm(
    workers: &dyn Workers,
    level: SimdLevel,
    norm: &RmsNorm,
    step: Step,
    x: &[f32],
    weight: &[f32],
    out: &mut [f32],
) {
    let columns = norm.params.columns as usize;
    let used = if norm.single { 1 } else { step.tokens as usize } * norm.params.rows as usize * columns;
    let parts = parts::count(workers, used, PART_NUMBERS);
    parts::each_slice(workers, parts, columns, &mut out[..used], |first, out| {
        let x = &x[first * columns..][..out.len()];
        level.run(Normalise { x, weight: &weight[..columns], epsilon: norm.params.epsilon, out });
    });
}

struct Normalise<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl Task for Normalise<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let columns = self.weight.len();
        let (weight_blocks, weight_rest) = self.weight.as_chunks::<BLOCK>();
        for (x, out) in self.x.chunks_exact(columns).zip(self.out.chunks_exact_mut(columns)) {
            let (x_blocks, x_rest) = x.as_chunks::<BLOCK>();
            let mut sums = simd.splat_block(0.0);
            for x in x_blocks {
                add_squares(simd, x, &mut sums);
            }
            add_squares(simd, &padded(x_rest), &mut sums);
            let mut sum = 0.0;
            for vector in sums.as_ref() {
                sum += simd.sum(*vector);
            }
            let factor = 1.0 / (sum / columns as f32 + self.epsilon).sqrt();
            let (out_blocks, out_rest) = out.as_chunks_mut::<BLOCK>();
            for ((out, x), weight) in out_blocks.iter_mut().zip(x_blocks).zip(weight_blocks) {
                let (mut numbers, weight) = (simd.load(x), simd.load(weight));
                for (number, weight) in numbers.as_mut().iter_mut().zip(weight.as_ref()) {
                    *number = simd.mul(simd.mul(*number, simd.splat(factor)), *weight);
                }
                simd.store(numbers, out);
            }
            for ((out, x), weight) in out_rest.iter_mut().zip(x_rest).zip(weight_rest) {
                *out = x * factor * weight;
            }
        }
    }
}

#[inline(always)]
fn add_squares<S: Simd>(simd: S, x: &[f32; BLOCK], sums: &mut S::Block) {
    let x = simd.load(x);
    for (sum, x) in sums.as_mut().iter_mut().zip(x.as_ref()) {
        *sum = simd.mul_add(*x, *x, *sum);
    }
}

/// [`Gated::twin`].
pub fn gated(
    workers: &dyn Workers,
    level: SimdLevel,
    gated: &Gated,
    step: Step,
    gate: &[f32],
    up: &[f32],
    out: &mut [f32],
) {
    let used = (step.tokens * gated.params.columns) as usize;
    let parts = parts::count(workers, used, PART_NUMBERS);
    parts::each_slice(workers, parts, BLOCK, &mut out[..used], |first, out| {
        let range = first * BLOCK..first * BLOCK + out.len();
        let gelu = gated.params.activation == Activation::GeluTanh as u32;
        level.run(Gate { gate: &gate[range.clone()], up: &up[range], out, gelu });
    });
}

struct Gate<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
    /// [`Activation::GeluTanh`] rather than silu.
    gelu: bool,
}

impl Task for Gate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (gate_blocks, gate_rest) = self.gate.as_chunks::<BLOCK>();
        let (up_blocks, up_rest) = self.up.as_chunks::<BLOCK>();
        let (out_blocks, out_rest) = self.out.as_chunks_mut::<BLOCK>();
        for ((out, gate), up) in out_blocks.iter_mut().zip(gate_blocks).zip(up_blocks) {
            open_gate(simd, self.gelu, gate, up, out);
        }
        let mut rest = [0.0; BLOCK];
        open_gate(simd, self.gelu, &padded(gate_rest), &padded(up_rest), &mut rest);
        out_rest.copy_from_slice(&rest[..out_rest.len()]);
    }
}

#[inline(always)]
fn open_gate<S: Simd>(simd: S, gelu: bool, gate: &[f32; BLOCK], up: &[f32; BLOCK], out: &mut [f32; BLOCK]) {
    let (mut numbers, up) = (simd.load(gate), simd.load(up));
    for (number, up) in numbers.as_mut().iter_mut().zip(up.as_ref()) {
        let mut slope = *number;
        if gelu {
            let square = simd.mul(*number, *number);
            slope = simd.mul(*number, simd.mul_add(square, simd.splat(GELU_CUBIC), simd.splat(GELU_LINEAR)));
        }
        let negative = simd.sub(simd.splat(0.0), slope);
        let opened = simd.div(*number, simd.add(simd.splat(1.0), simd.exp(negative)));
        *number = simd.mul(opened, *up);
    }
    simd.store(numbers, out);
}

/// [`Rope::twin`], on slices, which the compiler vectorises itself.
pub fn rope(workers: &dyn Workers, level: SimdLevel, rope: &Rope, step: Step, table: &[f32], x: &mut [f32]) {
    let params = rope.params;
    let row = (params.heads * params.head_dim) as usize;
    let used = step.tokens as usize * row;
    let parts = parts::count(workers, used, PART_NUMBERS);
    parts::each_slice(workers, parts, row, &mut x[..used], |first, x| {
        level.run(Turn { rope, position: step.position as usize + first, table, x });
    });
}

struct Turn<'a> {
    rope: &'a Rope,
    position: usize,
    table: &'a [f32],
    x: &'a mut [f32],
}

impl Task for Turn<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let params = self.rope.params;
        let (head_dim, rotary) = (params.head_dim as usize, params.rotary as usize);
        let row = params.heads as usize * head_dim;
        for (token, x) in self.x.chunks_exact_mut(row).enumerate() {
            let turns = &self.table[(self.position + token) * rotary..][..rotary];
            for head in x.chunks_exact_mut(head_dim) {
                if params.interleaved == 1 {
                    turn_neighbours(&mut head[..rotary], turns);
                } else {
                    let (first, second) = head[..rotary].split_at_mut(rotary / 2);
                    turn_halves(first, second, turns);
                }
            }
        }
    }
}

#[inline(always)]
fn turn_neighbours(x: &mut [f32], turns: &[f32]) {
    for (pair, turn) in x.as_chunks_mut::<2>().0.iter_mut().zip(turns.as_chunks::<2>().0) {
        *pair = [pair[0] * turn[0] - pair[1] * turn[1], pair[0] * turn[1] + pair[1] * turn[0]];
    }
}

#[inline(always)]
fn turn_halves(first: &mut [f32], second: &mut [f32], turns: &[f32]) {
    for ((a, b), turn) in first.iter_mut().zip(second).zip(turns.as_chunks::<2>().0) {
        (*a, *b) = (*a * turn[0] - *b * turn[1], *a * turn[1] + *b * turn[0]);
    }
}
