//! For a token or a few: keys and values are read where they lie, or unpacked once for all queries that share them.

use super::{Group, Piece, Query, Seen, TILE, cached::Cached, share};
use crate::{
    device::cpu::{
        dot::{dot1, dot4, padded},
        simd::{BLOCK, Simd},
        stored,
    },
    kernel::HEAD_DIM_MAX,
};

/// The sum of a query's values times their shares.
type Mixed = [f32; HEAD_DIM_MAX as usize];

/// What a query has seen and mixed so far.
#[derive(Clone, Copy)]
struct Answer {
    seen: Seen,
    mixed: Mixed,
}

/// A tile of the cache.
#[derive(Clone, Copy)]
struct Tile<'a> {
    /// The first position.
    start: usize,
    /// (count, head_dim).
    keys: &'a [f32],
    /// (count, head_dim).
    values: &'a [f32],
}

/// Answers all queries of the group, tile after tile, two at once.
#[inline(always)]
pub fn attend<S: Simd>(simd: S, piece: &mut Piece<'_>, group: Group, keys: Cached<'_>, values: Cached<'_>) {
    let mut answers = vec![Answer { seen: Seen::NOTHING, mixed: [0.0; HEAD_DIM_MAX as usize] }; group.count];
    let (mut key_numbers, mut value_numbers) = (Vec::new(), Vec::new());
    // The last query sees most; what lies before the window of the first is beyond that of the others too.
    let (first, visible) = (group.query(0).first, group.query(group.count - 1).visible);
    for start in (first / TILE * TILE..visible).step_by(TILE) {
        let count = TILE.min(visible - start);
        let keys = keys.tile(simd, start, count, &mut key_numbers);
        let values = values.tile(simd, start, count, &mut value_numbers);
        let tile = Tile { start, keys, values };
        let mut index = 0;
        while index + 1 < group.count {
            look::<S, 2>(simd, piece, group, index, tile, &mut answers);
            index += 2;
        }
        if index < group.count {
            look::<S, 1>(simd, piece, group, index, tile, &mut answers);
        }
    }
    for (index, answer) in answers.iter().enumerate() {
        for (out, mixed) in piece.out[group.query(index).start..][..group.head_dim].iter_mut().zip(answer.mixed) {
            *out = mixed / answer.seen.total;
        }
    }
}

/// Shows a tile to the queries from number `first` on; the last of them sees most.
#[inline(always)]
fn look<S: Simd, const QUERIES: usize>(
    simd: S,
    piece: &Piece<'_>,
    group: Group,
    first: usize,
    tile: Tile<'_>,
    answers: &mut [Answer],
) {
    let params = piece.attention.params;
    let (scale, softcap, head_dim) = (params.scale, params.softcap, group.head_dim);
    let queries: [Query; QUERIES] = std::array::from_fn(|nth| group.query(first + nth));
    let count = queries[QUERIES - 1].visible.saturating_sub(tile.start).min(tile.keys.len() / head_dim);
    if count == 0 || tile.start + TILE <= queries[0].first {
        return;
    }
    let (keys, values) = (&tile.keys[..count * head_dim], &tile.values[..count * head_dim]);
    let mut shares = [[0.0; QUERIES]; TILE];
    for (nth, query) in queries.into_iter().enumerate() {
        let Answer { seen, mixed } = &mut answers[first + nth];
        let mut scores = [f32::MIN; TILE];
        score(simd, &piece.queries[query.start..][..head_dim], keys, scale, &mut scores);
        let shrink = share(simd, &mut scores, tile.start, query, softcap, seen);
        for mixed in &mut mixed[..head_dim] {
            *mixed *= shrink;
        }
        for (shares, share) in shares.iter_mut().zip(scores) {
            shares[nth] = share;
        }
    }
    mix::<S, QUERIES>(simd, &shares, values, head_dim, &mut answers[first..]);
}

/// The scaled products of a query with each key, four keys at a time.
#[inline(always)]
fn score<S: Simd>(simd: S, query: &[f32], keys: &[f32], scale: f32, scores: &mut [f32; TILE]) {
    let key_bytes = size_of_val(query);
    let mut fours = bytemuck::cast_slice(keys).chunks_exact(4 * key_bytes);
    let mut scores = scores.iter_mut();
    for keys in fours.by_ref() {
        let key = |nth| &keys[nth * key_bytes..][..key_bytes];
        let products = dot4::<S, stored::F32>(simd, [key(0), key(1), key(2), key(3)], query);
        // Not the other way round: the last try for a pair would take a score and drop it.
        for (product, score) in products.into_iter().zip(scores.by_ref()) {
            *score = product * scale;
        }
    }
    for (score, key) in scores.zip(fours.remainder().chunks_exact(key_bytes)) {
        *score = dot1::<S, stored::F32>(simd, key, query) * scale;
    }
}

/// Adds a tile's values times their shares.
#[inline(always)]
fn mix<S: Simd, const QUERIES: usize>(
    simd: S,
    shares: &[[f32; QUERIES]; TILE],
    values: &[f32],
    head_dim: usize,
    answers: &mut [Answer],
) {
    for first in (0..head_dim).step_by(BLOCK) {
        let mut sums = [simd.splat_block(0.0); QUERIES];
        for query in 0..QUERIES {
            // What lies beyond the head stays zero: HEAD_DIM_MAX is a whole number of blocks.
            if let Some(block) = answers[query].mixed[first..].first_chunk() {
                sums[query] = simd.load(block);
            }
        }
        for (value, shares) in values.chunks_exact(head_dim).zip(shares) {
            let value = match value[first..].first_chunk() {
                Some(value) => simd.load(value),
                None => simd.load(&padded(&value[first..])),
            };
            for query in 0..QUERIES {
                let share = simd.splat(shares[query]);
                for (sum, value) in sums[query].as_mut().iter_mut().zip(value.as_ref()) {
                    *sum = simd.mul_add(*value, share, *sum);
                }
            }
        }
        for query in 0..QUERIES {
            if let Some(block) = answers[query].mixed[first..].first_chunk_mut() {
                simd.store(sums[query], block);
            }
        }
    }
}
