// The trellis encoder: for each tile of 256 targets the ring of bits whose windows stand for levels nearest to them, by
// Viterbi's recursion from the last weight to the first. It belongs to no model: the quantizer brings the targets, and
// gets the very bytes that its own encoder finds, since all costs are whole numbers of 16 bits.
// A workgroup has a tile. Windows are 12 bits long, so that the costs of all of them lie in shared memory. A first pass
// over the weights around the ring's seam finds the bits that meet there; the second holds them fixed.
//#import shared/step.wgsl

struct Params {
    tiles: u32,
    bits: u32,      // of a weight: 2 to 6
    seam: u32,      // weights on each side of the seam in the first pass, at most 128
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> targets: array<u32>;           // (tiles, 128): two of 16 bits each
@group(0) @binding(3) var<storage, read> levels: array<u32>;            // (2048): what the windows stand for, two each
@group(0) @binding(4) var<storage, read_write> choices: array<u32>;     // (tiles, 256, groups / 4): a byte a group
@group(0) @binding(5) var<storage, read_write> rings: array<u32>;       // (tiles, 8 bits)

const THREADS = 256u;
const WINDOWS = 4096u;
const WEIGHTS = 256u;
const MOST = 65535u;

var<workgroup> costs: array<u32, 2048>;         // of the windows of a weight, two each
var<workgroup> best: array<u32, 512>;           // of the groups of windows that go on in the same ways, two each
var<workgroup> floors: array<atomic<u32>, 2>;   // the least of them, of this weight and of the one before in turn
var<workgroup> first: atomic<u32>;              // the least cost and, in its lower 16 bits, its window
var<workgroup> shared_bits: u32;

fn low(pair: u32) -> u32 { return pair & MOST; }

fn high(pair: u32) -> u32 { return pair >> 16u; }

// Twice the distance for each bit above two, squared, without its lower 16 bits.
fn distance(wanted: u32, level: u32) -> u32 {
    let apart = min((max(wanted, level) - min(wanted, level)) << (params.bits - 2u), MOST);
    return (apart * apart) >> 16u;
}

fn target_of(tile: u32, weight: u32) -> u32 {
    let pair = targets[tile * 128u + (weight >> 1u)];
    return select(low(pair), high(pair), (weight & 1u) == 1u);
}

// The best window of the weight behind the one at `at`.
fn next(tile: u32, window: u32, at: u32) -> u32 {
    let groups = WINDOWS >> params.bits;
    let group = window >> params.bits;
    let four = choices[(tile * WEIGHTS + at) * (groups >> 2u) + (group >> 2u)];
    return extractBits(four, 8u * (group & 3u), 8u) * groups + group;
}

fn cost_of(window: u32) -> u32 {
    let pair = costs[window >> 1u];
    return select(low(pair), high(pair), (window & 1u) == 1u);
}

// The least cost of the ways on from four groups, and which ways they are.
fn choose(tile: u32, at: u32, four: u32) {
    let groups = WINDOWS >> params.bits;
    var least = vec4<u32>(MOST);
    var chosen = vec4<u32>(0u);
    for (var way = 0u; way < (1u << params.bits); way++) {
        let word = (way * groups >> 1u) + 2u * four;
        let a = costs[word];
        let b = costs[word + 1u];
        let cost = vec4<u32>(low(a), high(a), low(b), high(b));
        let is_less = cost < least;
        chosen = select(chosen, vec4<u32>(way), is_less);
        least = min(least, cost);
    }
    best[2u * four] = least.x | (least.y << 16u);
    best[2u * four + 1u] = least.z | (least.w << 16u);
    choices[(tile * WEIGHTS + at) * (groups >> 2u) + four] = chosen.x | (chosen.y << 8u) | (chosen.z << 16u) | (chosen.w << 24u);
    atomicMin(&floors[at & 1u], min(min(least.x, least.y), min(least.z, least.w)));
}

// The costs of two windows side by side, which go on in the same ways.
fn settle(word: u32, level: u32, wanted: u32, floor: u32) {
    let group = (2u * word) >> params.bits;
    let pair = best[group >> 1u];
    let least = select(low(pair), high(pair), (group & 1u) == 1u) - floor;
    let a = min(least + distance(wanted, low(level)), MOST);
    let b = min(least + distance(wanted, high(level)), MOST);
    costs[word] = a | (b << 16u);
}

// All weights from the last of `count` to the first, the first of them `start` in the ring.
fn begin_pass(pass_number: u32, groups: u32, thread: u32) {
    for (var word = thread; word < WINDOWS / 2u; word += THREADS) {
        let is_free = (vec2<u32>(2u * word, 2u * word + 1u) & vec2<u32>(groups - 1u)) == vec2<u32>(shared_bits);
        let pair = select(vec2<u32>(MOST), vec2<u32>(0u), is_free);
        costs[word] = select(pair.x | (pair.y << 16u), 0u, pass_number == 0u);
    }
    if (thread == 0u) {
        atomicStore(&floors[0], MOST);
        atomicStore(&floors[1], MOST);
        atomicStore(&first, ~0u);
    }
}

// The bits that meet at the seam, behind the best window of the first pass.
fn find_shared(tile: u32, groups: u32) {
    var window = atomicLoad(&first) & MOST;
    for (var at = 0u; at < params.seam; at++) { window = next(tile, window, at); }
    shared_bits = window & (groups - 1u);
}

// The lowest bits of each window, one behind the other.
fn write_ring(tile: u32, groups: u32) {
    var window = shared_bits;
    for (var way = 1u; way < (1u << params.bits); way++) {
        let other = way * groups + shared_bits;
        if (cost_of(other) < cost_of(window)) { window = other; }
    }
    var held = 0u;
    var held_bits = 0u;
    var out = tile * 8u * params.bits;
    for (var at = 0u; at < WEIGHTS; at++) {
        let own = window & ((1u << params.bits) - 1u);
        held |= own << held_bits;
        held_bits += params.bits;
        if (held_bits >= 32u) {
            rings[out] = held;
            out += 1u;
            held_bits -= 32u;
            held = select(0u, own >> (params.bits - held_bits), held_bits > 0u);
        }
        window = next(tile, window, at);
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let tile = flat_group(group, workgroups);
    if (tile >= params.tiles) { return; }
    let groups = WINDOWS >> params.bits;
    if (thread == 0u) { shared_bits = 0u; }
//#repeat n 8
    let level_{n} = levels[{n}u * THREADS + thread];
//#end
    for (var pass_number = 0u; pass_number < 2u; pass_number++) {
        workgroupBarrier();
        begin_pass(pass_number, groups, thread);
        workgroupBarrier();
        let count = select(2u * params.seam, WEIGHTS, pass_number == 1u);
        let start = select(WEIGHTS - params.seam, 0u, pass_number == 1u);
        for (var behind = count; behind > 0u; behind--) {
            let at = behind - 1u;
            for (var four = thread; four < (groups >> 2u); four += THREADS) { choose(tile, at, four); }
            let wanted = target_of(tile, (start + at) % WEIGHTS);
            workgroupBarrier();
            let floor = atomicLoad(&floors[at & 1u]);
//#repeat n 8
            settle({n}u * THREADS + thread, level_{n}, wanted, floor);
//#end
            if (thread == 0u) { atomicStore(&floors[1u - (at & 1u)], MOST); }
            workgroupBarrier();
        }
        if (pass_number == 0u) {
            for (var word = thread; word < WINDOWS / 2u; word += THREADS) {
                let pair = costs[word];
                atomicMin(&first, min((low(pair) << 16u) | (2u * word), (high(pair) << 16u) | (2u * word + 1u)));
            }
        }
        // What was chosen is read by one thread.
        storageBarrier();
        workgroupBarrier();
        if (thread == 0u) {
            if (pass_number == 0u) { find_shared(tile, groups); } else { write_ring(tile, groups); }
        }
    }
}
