// Multiplies blocks of each token's numbers with an orthonormal Hadamard matrix, and before that or, if `undo` is 1, after
// it with signs, in place: x[t, :] = H (signs * x[t, :]). A workgroup takes a block of a token.
//#import shared/step.wgsl

struct Params {
    columns: u32,   // a multiple of the block
    block: u32,     // a power of two, at most 4096
    undo: u32,      // 1: the signs come last
    single: u32,    // 1: only one row is meant, whatever the batch
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> signs: array<f32>;        // (columns)
@group(0) @binding(3) var<storage, read_write> x: array<f32>;      // (tokens, columns)

var<workgroup> numbers: array<f32, 4096>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if (group.y >= select(step.tokens, 1u, params.single == 1u)) { return; }
    let column = group.x * params.block;
    let at = group.y * params.columns + column;
    for (var i = thread; i < params.block; i += 64u) {
        numbers[i] = x[at + i] * select(signs[column + i], 1.0, params.undo == 1u);
    }
    workgroupBarrier();
    for (var half = 1u; half < params.block; half <<= 1u) {
        for (var i = thread; i < (params.block >> 1u); i += 64u) {
            // The i-th number that has a 0 where the other of its pair has a 1.
            let first = ((i & ~(half - 1u)) << 1u) | (i & (half - 1u));
            let sum = numbers[first] + numbers[first + half];
            numbers[first + half] = numbers[first] - numbers[first + half];
            numbers[first] = sum;
        }
        workgroupBarrier();
    }
    let scale = 1.0 / sqrt(f32(params.block));
    for (var i = thread; i < params.block; i += 64u) {
        x[at + i] = numbers[i] * scale * select(1.0, signs[column + i], params.undo == 1u);
    }
}
