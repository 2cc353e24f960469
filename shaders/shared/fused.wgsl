// What products of one vector are told, and what comes before and after them: see `fused_matvec` and `fused_strips`.

struct Params {
    columns: u32,       // a multiple of 4, or of 16 where rows stand in strips
    rows: u32,          // in this part, of all matrices
    first_row: u32,     // of the whole matrix, in this part
    scales_word: u32,   // where the part's scales begin, in words
    base_row: u32,      // rows of other matrices in front of these
    second_row: u32,    // where the second matrix begins, or behind all rows
    third_row: u32,     // where the third one begins, or behind all rows
    out_first: u32,     // where the first row goes
    activation: u32,    // of GATED: 0: silu, 1: gelu by tanh
    epsilon: f32,
    factor: f32,
    softcap: f32,       // of SCALE; 0: none
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;          // (columns)
@group(0) @binding(3) var<storage, read> norm: array<vec4<f32>>;       // (columns); if handed on: x, then (columns / 4)
@group(0) @binding(4) var<storage, read> weights: array<u32>;          // (rows, columns)
@group(0) @binding(5) var<storage, read> first_bias: array<f32>;       // (rows of the first matrix)
@group(0) @binding(6) var<storage, read> second_bias: array<f32>;       // if HANDS_ON: the next product's norm
@group(0) @binding(7) var<storage, read_write> third_bias: array<f32>;  // if HANDS_ON: (rows), then (rows / 4)
@group(0) @binding(8) var<storage, read_write> out: array<f32>;        // (all rows)

override NORM: u32 = 0u;
const OWN = 1u;                 // of x, as it is read
const HANDED = 2u;              // by the dispatch that wrote x
override BIASES: u32 = 0u;      // a bit for each matrix
override EPILOGUE: u32 = 0u;
const ADD = 1u;                 // out += factor * row
const GATED = 2u;               // out = f(row of the first matrix) * row of the second
const SCALE = 3u;               // out = softcap(factor * row)
override HANDS_ON: bool = false;    // only with ADD, of one matrix whose rows are a multiple of 16

fn bias_of(row: u32) -> f32 {
    if (row >= params.third_row) {
        if ((BIASES & 4u) != 0u) { return third_bias[row - params.third_row]; }
        return 0.0;
    }
    if (row >= params.second_row) {
        if ((BIASES & 2u) != 0u) { return second_bias[row - params.second_row]; }
        return 0.0;
    }
    if ((BIASES & 1u) != 0u) { return first_bias[params.first_row + row]; }
    return 0.0;
}
