// Rows as F16, for products of halves: halves[t, :] = row[t, :] * 2^-e, and factors[t] = 2^e. A row is one of x or, by
// SOURCE, what `rms_norm` or `gated` would make of it, which then need not be written and read again.
// The power of two brings a row's greatest number near the upper end of what F16 holds: nothing overflows, and only
// numbers that are 2^28 times smaller lose bits to F16's least exponents. A workgroup has one token. Rows are filled up with
// zeros to a multiple of 64 columns, which is what a product reads at a time.
//#import shared/step.wgsl

struct Params {
    columns: u32,       // a multiple of 4
    epsilon: f32,       // of the norm
    activation: u32,    // of the gate, as in `gated`
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;                   // (tokens, columns); of GATED the gate
@group(0) @binding(3) var<storage, read> other: array<vec4<f32>>;               // of NORM: (columns), of GATED: (tokens, columns)
@group(0) @binding(4) var<storage, read_write> halves: array<vec2<u32>>;        // (tokens, columns in 64s), two a word
@group(0) @binding(5) var<storage, read_write> factors: array<f32>;             // (tokens)

//#import shared/activation.wgsl

override SOURCE: u32 = 0u;
const NORM = 1u;
const GATED = 2u;

const THREADS = 256u;
var<workgroup> greatest: array<f32, 256>;
var<workgroup> squares: array<f32, 256>;

// Four numbers of a row, but for the norm's factor.
fn word_of(token: u32, words: u32, word: u32) -> vec4<f32> {
    let four = x[token * words + word];
    if (SOURCE == NORM) { return four * other[word]; }
    if (SOURCE == GATED) {
        let kind = params.activation;
        let gate = vec4<f32>(activate(four.x, kind), activate(four.y, kind), activate(four.z, kind), activate(four.w, kind));
        return gate * other[token * words + word];
    }
    return four;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let token = group.y;
    if (token >= step.tokens) { return; }
    let words = params.columns >> 2u;
    let words_filled = ((params.columns + 63u) >> 6u) << 4u;
    var most4 = vec4<f32>();
    var sum = 0.0;
    for (var word = thread; word < words; word += THREADS) {
        most4 = max(most4, abs(word_of(token, words, word)));
        if (SOURCE == NORM) {
            let four = x[token * words + word];
            sum += dot(four, four);
        }
    }
    greatest[thread] = max(max(most4.x, most4.y), max(most4.z, most4.w));
    squares[thread] = sum;
    workgroupBarrier();
    for (var half = THREADS >> 1u; half > 0u; half >>= 1u) {
        if (thread < half) {
            greatest[thread] = max(greatest[thread], greatest[thread + half]);
            squares[thread] += squares[thread + half];
        }
        workgroupBarrier();
    }
    var factor = 1.0;
    if (SOURCE == NORM) { factor = inverseSqrt(squares[0] / f32(params.columns) + params.epsilon); }
    // The greatest one becomes at least 2^14 and less than 2^15. Of a row of zeros, or of numbers too small for a float's
    // exponent to answer, the power is the largest there is.
    let exponent = clamp(extractBits(bitcast<u32>(greatest[0] * factor), 23u, 8u), 15u, 254u);
    let shrink = bitcast<f32>((268u - exponent) << 23u);
    if (thread == 0u) { factors[token] = bitcast<f32>((exponent - 14u) << 23u); }
    for (var word = thread; word < words_filled; word += THREADS) {
        var four = vec4<f32>();
        if (word < words) { four = word_of(token, words, word) * factor * shrink; }
        halves[token * words_filled + word] = vec2<u32>(pack2x16float(four.xy), pack2x16float(four.zw));
    }
}
