//! Attention over the cache, in tiles of positions with a running maximum and sum (Milakov and Gimelshein
//! 2018; Dao et al. 2022), for a few queries at once that share a key head.

mod batch;
mod cached;
mod few;

use super::{
    SimdLevel, Workers, parts,
    simd::{BLOCK, Simd, Task},
};
use crate::kernel::{Attention, Step, TANH_MAX, TANH_P, TANH_Q};
use cached::Cached;

/// Positions of a tile.
const TILE: usize = 2 * BLOCK;

/// Products of keys that are worth waking a worker for.
const PART_PRODUCTS: usize = 128 << 10;

/// From so many tokens on, it pays to unpack a tile's keys and values for all of a part's queries.
const BATCH_TOKENS: usize = 8;

/// [`Attention::twin`].
pub fn attention(
    workers: &dyn Workers,
    level: SimdLevel,
    attention: &Attention,
    step: Step,
    [queries, keys, values]: [&[f32]; 3],
    out: &mut [f32],
) {
    let params = attention.params;
    let tokens = step.tokens as usize;
    let row = (params.heads * params.head_dim) as usize;
    let work = tokens * row * (step.position as usize + tokens);
    let parts = parts::count(workers, work, PART_PRODUCTS);
    // One token is split by its heads, a batch by its tokens.
    let unit = if tokens == 1 { row / params.kv_heads as usize } else { row };
    parts::each_slice(workers, parts, unit, &mut out[..tokens * row], |first, out| {
        let queries = &queries[first * unit..][..out.len()];
        let (token, kv_head) = if tokens == 1 { (0, first) } else { (first, 0) };
        let position = step.position as usize + token;
        let end = step.position as usize + tokens;
        let batch = tokens >= BATCH_TOKENS;
        level.run(Piece { attention, batch, position, end, kv_head, queries, keys, values, out });
    });
}

/// Some key heads' queries of one token, or all queries of some tokens.
struct Piece<'a> {
    attention: &'a Attention,
    /// Whether the step has many tokens, though perhaps not this piece: the answer must not depend on the workers.
    batch: bool,
    /// Of the first token.
    position: usize,
    /// Behind the step's last token.
    end: usize,
    /// The first.
    kv_head: usize,
    /// (tokens, heads, head_dim).
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    /// (tokens, heads, head_dim).
    out: &'a mut [f32],
}

/// A query of a piece.
#[derive(Clone, Copy)]
struct Query {
    /// Where it begins, and its output.
    start: usize,
    /// The first position that it sees.
    first: usize,
    /// Behind the last.
    visible: usize,
}

/// The queries of a piece that share a key head: of each token, as many as there are query heads to a key head.
#[derive(Clone, Copy)]
struct Group {
    /// Of the first query in a token's row.
    first: usize,
    /// Length of a token's row.
    row: usize,
    /// Queries of a token.
    heads: usize,
    head_dim: usize,
    /// Of the first token.
    position: usize,
    /// Queries of all tokens.
    count: usize,
    /// How many positions a query sees at most, its own the last.
    window: usize,
    /// Behind the step's last token if all queries see so far; 0 if each sees as far as its own.
    end: usize,
}

impl Group {
    #[inline(always)]
    fn query(&self, index: usize) -> Query {
        let token = index / self.heads;
        let start = token * self.row + self.first + index % self.heads * self.head_dim;
        let behind = self.position + token + 1;
        Query { start, first: behind.saturating_sub(self.window), visible: behind.max(self.end) }
    }
}

impl Task for Piece<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let params = self.attention.params;
        let (head_dim, heads) = (params.head_dim as usize, (params.heads / params.kv_heads) as usize);
        // A part of one token may have fewer heads than the whole.
        let row = self.queries.len().min(params.heads as usize * head_dim);
        let tokens = self.queries.len() / row;
        let layout = self.attention.layout();
        let window = if params.window > 0 { params.window as usize } else { usize::MAX };
        let end = if params.causal == 1 { 0 } else { self.end };
        for nth in 0..row / (heads * head_dim) {
            let first = nth * heads * head_dim;
            let (position, count) = (self.position, tokens * heads);
            let group = Group { first, row, heads, head_dim, position, count, window, end };
            let [keys, values] = [self.keys, self.values].map(|cache| Cached::head(layout, cache, self.kv_head + nth));
            if self.batch {
                batch::attend(simd, &mut self, group, keys, values);
            } else {
                few::attend(simd, &mut self, group, keys, values);
            }
        }
    }
}

/// What a query has seen so far.
#[derive(Clone, Copy)]
struct Seen {
    /// The highest score.
    highest: f32,
    /// The sum of the shares, relative to it.
    total: f32,
}

impl Seen {
    const NOTHING: Self = Self { highest: f32::NEG_INFINITY, total: 0.0 };
}

/// Turns a tile's scores into shares; only those of `query` are seen. Returns by how much what was seen before shrinks.
#[inline(always)]
fn share<S: Simd>(
    simd: S,
    scores: &mut [f32; TILE],
    tile_start: usize,
    query: Query,
    softcap: f32,
    seen: &mut Seen,
) -> f32 {
    let count = query.visible.saturating_sub(tile_start).min(TILE);
    let skipped = query.first.saturating_sub(tile_start).min(count);
    if softcap > 0.0 {
        for block in scores.as_chunks_mut::<BLOCK>().0 {
            cap(simd, block, softcap);
        }
    }
    scores[..skipped].fill(f32::MIN);
    scores[count..].fill(f32::MIN);
    let (blocks, _) = scores.as_chunks_mut::<BLOCK>();
    let mut highest = simd.splat(seen.highest);
    for block in blocks.iter() {
        for scores in simd.load(block).as_ref() {
            highest = simd.max(highest, *scores);
        }
    }
    let highest = simd.maximum(highest);
    let mut total = simd.splat(0.0);
    for block in blocks {
        let mut numbers = simd.load(block);
        for number in numbers.as_mut() {
            *number = simd.exp(simd.sub(*number, simd.splat(highest)));
        }
        simd.store(numbers, block);
    }
    scores[..skipped].fill(0.0);
    scores[count..].fill(0.0);
    for block in scores.as_chunks::<BLOCK>().0 {
        for shares in simd.load(block).as_ref() {
            total = simd.add(total, *shares);
        }
    }
    let shrink = (seen.highest - highest).exp();
    seen.highest = highest;
    seen.total = seen.total * shrink + simd.sum(total);
    shrink
}

/// [`crate::kernel::softcap`] of each number.
#[inline(always)]
fn cap<S: Simd>(simd: S, numbers: &mut [f32; BLOCK], softcap: f32) {
    let mut block = simd.load(numbers);
    for number in block.as_mut() {
        let x = simd.div(*number, simd.splat(softcap));
        let x = simd.min(simd.splat(TANH_MAX), simd.max(simd.splat(-TANH_MAX), x));
        let square = simd.mul(x, x);
        let (mut p, mut q) = (simd.splat(0.0), simd.splat(0.0));
        for term in TANH_P {
            p = simd.mul_add(p, square, simd.splat(term));
        }
        for term in TANH_Q {
            q = simd.mul_add(q, square, simd.splat(term));
        }
        *number = simd.mul(simd.splat(softcap), simd.div(simd.mul(x, p), q));
    }
    simd.store(block, numbers);
}
