// Copies the embedding of each token of the batch: out[t, :] = table[ids[t], :].
// A table that passes the binding limit lies in several parts; each dispatch fills the tokens of its own part.
//#axes format
//#import shared/step.wgsl

struct Params {
    columns: u32,       // length of an embedding, a multiple of 4
    first_row: u32,     // of the table, in this part
    rows: u32,          // in this part
    scales_word: u32,   // where the part's scales begin, in words
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> weights: array<u32>;      // (rows, columns)
@group(0) @binding(3) var<storage, read> ids: array<u32>;          // (tokens)
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>; // (tokens, columns)

//#import formats/{format}.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.x;
    if (token >= step.tokens) { return; }
    let row = ids[token] - params.first_row;
    if (row >= params.rows) { return; }
    for (var column = thread * 4u; column < params.columns; column += 256u) {
        out[(token * params.columns + column) >> 2u] = weights4(row * params.columns + column);
    }
}
