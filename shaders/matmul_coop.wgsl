// Up to three matrices, one below the other, times a batch of vectors, as `matmul`, in products of F16 with sums in F32, as matrices that a subgroup computes
// together. A workgroup has TOKEN_GROUPS times ROW_GROUPS subgroups of 32 threads, each of which has TOKEN_TILES times
// ROW_TILES of such matrices. Weights are turned into F16 on their way into workgroup memory; x comes as F16 from
// `to_halves`, each token with a factor. What is read for the next columns is on its way while these are multiplied.
enable f16;
enable wgpu_cooperative_matrix;
//#axes format tile
//#import shared/step.wgsl

struct Params {
    columns: u32,       // a multiple of 16
    rows: u32,          // in this part of the matrix
    first_row: u32,     // of the whole matrix, in this part
    scales_word: u32,   // where the part's scales begin, in words
    accumulate: u32,
    out_columns: u32,   // rows of the whole matrix
    base_row: u32,      // rows of other matrices in front of these
    second_group: u32,  // where workgroups of the second matrix begin, or behind all
    second_rows: u32,
    second_base: u32,
    third_group: u32,
    third_rows: u32,
    third_base: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f16>>;      // (tokens, columns in 64s), readable in whole tiles
@group(0) @binding(3) var<storage, read> factors: array<f32>;      // (tokens)
@group(0) @binding(4) var<storage, read> weights: array<u32>;      // (rows, columns)
@group(0) @binding(5) var<storage, read_write> out: array<f32>;    // (tokens, out_columns)
@group(0) @binding(6) var<storage, read_write> second_out: array<f32>;     // (tokens, second_rows)
@group(0) @binding(7) var<storage, read_write> third_out: array<f32>;      // (tokens, third_rows)
@group(0) @binding(8) var<storage, read> wide_weights: array<vec4<u32>>;   // the same as `weights`

//#import formats/{format}.wgsl

override TOKEN_GROUPS: u32 = 4u;
override ROW_GROUPS: u32 = 2u;
override TOKEN_TILES: u32 = 2u;     // at most 4
override ROW_TILES: u32 = 4u;       // at most 4
override WORDS: u32 = 8u;           // of four columns, that are multiplied at a time: 8 or 16
override THREADS: u32 = TOKEN_GROUPS * ROW_GROUPS * 32u;
override TOKENS: u32 = TOKEN_GROUPS * TOKEN_TILES * 16u;
override ROWS: u32 = ROW_GROUPS * ROW_TILES * 16u;
override LINE: u32 = WORDS + 2u;    // words from a line to the next, so that lines begin in different banks
override X_PLACES: u32 = TOKENS * LINE;
override WEIGHTS_PLACES: u32 = ROWS * LINE;
override SHOWN_PLACES: u32 = THREADS * 8u;
// What threads read, in turn: two words of x, and four of weights.
override X_PIECES: u32 = TOKENS * WORDS / 2u;           // at most 8 a thread
override WEIGHTS_PIECES: u32 = ROWS * WORDS / 4u;       // at most 4 a thread
var<workgroup> x_tile: array<vec4<f16>, X_PLACES>;
var<workgroup> weights_tile: array<vec4<f16>, WEIGHTS_PLACES>;
var<workgroup> shown: array<f32, SHOWN_PLACES>;

//#import shared/multiply_coop.wgsl

// The workgroup's matrix.
var<private> nth_matrix: u32;
var<private> rows: u32;
var<private> base_row: u32;

//#repeat n 8
var<private> x_low_{n}: vec4<f16>;
var<private> x_high_{n}: vec4<f16>;
//#end
//#repeat n 4
var<private> piece_{n}: Raw;
//#end

// Begins to read the columns from a word on. Rows beyond the last are the last one again, and columns the first ones.
fn fetch(first_token: u32, first_row: u32, first_word: u32, thread: u32) {
    let x_words = ((params.columns + 63u) >> 6u) << 4u;
//#repeat n 8
    if (X_PIECES > {n}u * THREADS) {
        let piece = min(thread + {n}u * THREADS, X_PIECES - 1u);
        let at = (first_token + piece / (WORDS / 2u)) * x_words + first_word + piece % (WORDS / 2u) * 2u;
        x_low_{n} = x[at];
        x_high_{n} = x[at + 1u];
    }
//#end
//#repeat n 4
    if (WEIGHTS_PIECES > {n}u * THREADS) { piece_{n} = fetch16(weight_at(first_row, first_word, thread + {n}u * THREADS)); }
//#end
}

// Where a piece of the weights begins.
fn weight_at(first_row: u32, first_word: u32, piece: u32) -> u32 {
    let row = base_row + min(first_row + piece / (WORDS / 4u), rows - 1u);
    let column = (first_word + piece % (WORDS / 4u) * 4u) * 4u;
    return row * params.columns + select(0u, column, column < params.columns);
}

// Puts a piece of the weights into the tile, with zeros for columns that there are not.
fn put_weights(piece: u32, first_word: u32, four: mat4x4<f32>) {
    let word = piece % (WORDS / 4u) * 4u;
    let at = piece / (WORDS / 4u) * LINE + word;
    let is_there = (first_word + word) * 4u < params.columns;
    for (var i = 0u; i < 4u; i++) { weights_tile[at + i] = vec4<f16>(select(vec4<f32>(), four[i], is_there)); }
}

// Puts what has been read into the tiles.
fn keep(first_row: u32, first_word: u32, thread: u32) {
//#repeat n 8
    if (X_PIECES > {n}u * THREADS) {
        let piece = thread + {n}u * THREADS;
        if (piece < X_PIECES) {
            let at = piece / (WORDS / 2u) * LINE + piece % (WORDS / 2u) * 2u;
            x_tile[at] = x_low_{n};
            x_tile[at + 1u] = x_high_{n};
        }
    }
//#end
//#repeat n 4
    if (WEIGHTS_PIECES > {n}u * THREADS) {
        let piece = thread + {n}u * THREADS;
        if (piece < WEIGHTS_PIECES) {
            put_weights(piece, first_word, decode16(piece_{n}, weight_at(first_row, first_word, piece)));
        }
    }
//#end
}

// Puts 16 by 16 sums where they belong; `lane` is the thread in its subgroup.
fn put(shown_at: u32, first_token: u32, first_row: u32, lane: u32) {
    let row = first_row + (lane % 16u);
    for (var nth = lane >> 4u; nth < 16u; nth += 2u) {
        let token = first_token + nth;
        if (token < step.tokens && row < rows) {
            var total = shown[shown_at + nth * 16u + (lane % 16u)] * factors[token];
            if (nth_matrix == 2u) {
                third_out[token * rows + row] = total;
            } else if (nth_matrix == 1u) {
                second_out[token * rows + row] = total;
            } else {
                let at = token * params.out_columns + params.first_row + row;
                if (params.accumulate == 1u) { total += out[at]; }
                out[at] = total;
            }
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    var nth_group = group.x;
    nth_matrix = 0u;
    rows = params.rows;
    base_row = params.base_row;
    if (group.x >= params.third_group) {
        nth_group -= params.third_group;
        nth_matrix = 2u;
        rows = params.third_rows;
        base_row = params.third_base;
    } else if (group.x >= params.second_group) {
        nth_group -= params.second_group;
        nth_matrix = 1u;
        rows = params.second_rows;
        base_row = params.second_base;
    }
    let first_row = nth_group * ROWS;
    let first_token = group.y * TOKENS;
    if (first_token >= step.tokens) { return; }
    let own_row = (subgroup / TOKEN_GROUPS) * ROW_TILES * 16u;
    let own_token = (subgroup % TOKEN_GROUPS) * TOKEN_TILES * 16u;
    let words = params.columns >> 2u;
    begin();
    fetch(first_token, first_row, 0u, thread);
    for (var first_word = 0u; first_word < words; first_word += WORDS) {
        keep(first_row, first_word, thread);
        workgroupBarrier();
        let next = first_word + WORDS;
        fetch(first_token, first_row, select(0u, next, next < words), thread);
//#repeat k 4
        if (WORDS > {k}u * 4u) { multiply16(own_token * LINE + {k}u * 4u, own_row * LINE + {k}u * 4u); }
//#end
        workgroupBarrier();
    }
    let lane = thread & 31u;
    let own_shown = subgroup * 256u;
//#repeat i 4
//#repeat j 4
    if (TOKEN_TILES > {i}u && ROW_TILES > {j}u) {
        show_{i}_{j}(own_shown);
        workgroupBarrier();
        put(own_shown, first_token + own_token + {i}u * 16u, first_row + own_row + {j}u * 16u, lane);
        workgroupBarrier();
    }
//#end
//#end
}
