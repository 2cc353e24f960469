//! For a token or a few: keys and values are read where they lie.

use super::{Group, Piece, Seen, TILE, share};
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

/// Answers all queries of the group, two at once.
#[inline(always)]
pub fn attend<S: Simd>(simd: S, piece: &mut Piece<'_>, group: Group, keys: &[f32], values: &[f32]) {
    let mut index = 0;
    while index + 1 < group.count {
        answer::<S, 2>(simd, piece, group, index, keys, values);
        index += 2;
    }
    if index < group.count {
        answer::<S, 1>(simd, piece, group, index, keys, values);
    }
}

/// Answers the queries from number `first` on; the last of them sees most.
#[inline(always)]
fn answer<S: Simd, const QUERIES: usize>(
    simd: S,
    piece: &mut Piece<'_>,
    group: Group,
    first: usize,
    keys: &[f32],
    values: &[f32],
) {
    let params = piece.attention.params;
    let (scale, softcap, head_dim) = (params.scale, params.softcap, group.head_dim);
    let mut queries = [group.query(first); QUERIES];
    let mut x: [&[f32]; QUERIES] = [&[]; QUERIES];
    for nth in 0..QUERIES {
        queries[nth] = group.query(first + nth);
        x[nth] = &piece.queries[queries[nth].start..][..head_dim];
    }
    let span = queries[QUERIES - 1].visible * head_dim;
    let mut seen = [Seen::NOTHING; QUERIES];
    let mut mixed: [Mixed; QUERIES] = [[0.0; HEAD_DIM_MAX as usize]; QUERIES];
    let tiles = keys[..span].chunks(TILE * head_dim).zip(values[..span].chunks(TILE * head_dim));
    // What lies before the window of the first is beyond that of the others too.
    for (tile, (keys, values)) in tiles.enumerate().skip(queries[0].first / TILE) {
        let mut scores = [[f32::MIN; TILE]; QUERIES];
        let mut shares = [[0.0; QUERIES]; TILE];
        for query in 0..QUERIES {
            score(simd, x[query], keys, scale, &mut scores[query]);
            let shrink = share(simd, &mut scores[query], tile * TILE, queries[query], softcap, &mut seen[query]);
            for mixed in &mut mixed[query][..head_dim] {
                *mixed *= shrink;
            }
            for (shares, share) in shares.iter_mut().zip(scores[query]) {
                shares[query] = share;
            }
        }
        mix::<S, QUERIES>(simd, &shares, values, head_dim, &mut mixed);
    }
    for query in 0..QUERIES {
        for (out, mixed) in piece.out[queries[query].start..][..head_dim].iter_mut().zip(mixed[query]) {
            *out = mixed / seen[query].total;
        }
    }
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
    mixed: &mut [Mixed; QUERIES],
) {
    for first in (0..head_dim).step_by(BLOCK) {
        let mut sums = [simd.splat_block(0.0); QUERIES];
        for query in 0..QUERIES {
            // What lies beyond the head stays zero: HEAD_DIM_MAX is a whole number of blocks.
            if let Some(block) = mixed[query][first..].first_chunk() {
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
            if let Some(block) = mixed[query][first..].first_chunk_mut() {
                simd.store(sums[query], block);
            }
        }
    }
}
