//! For a token or a few: keys and values are read where they lie.

use super::{Group, Piece, Seen, TILE, share};
use crate::{
    device::cpu::{
        dot::{padded, sum_each},
        simd::{BLOCK, Simd},
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
    let (scale, head_dim) = (piece.attention.params.scale, group.head_dim);
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
    for (tile, (keys, values)) in tiles.enumerate() {
        let mut scores = [[f32::MIN; TILE]; QUERIES];
        score::<S, QUERIES>(simd, x, keys, scale, &mut scores);
        let mut shares = [[0.0; QUERIES]; TILE];
        for query in 0..QUERIES {
            let count = queries[query].visible.saturating_sub(tile * TILE).min(TILE);
            let shrink = share(simd, &mut scores[query], count, &mut seen[query]);
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

/// The scaled products of each query with each key, four keys at a time.
#[inline(always)]
fn score<S: Simd, const QUERIES: usize>(
    simd: S,
    queries: [&[f32]; QUERIES],
    keys: &[f32],
    scale: f32,
    scores: &mut [[f32; TILE]; QUERIES],
) {
    let head_dim = queries[0].len();
    let (mut position, mut groups) = (0, keys.chunks_exact(4 * head_dim));
    for keys in groups.by_ref() {
        let (first, second) = keys.split_at(2 * head_dim);
        let ((a, b), (c, d)) = (first.split_at(head_dim), second.split_at(head_dim));
        let products = products::<S, QUERIES, 4>(simd, queries, [a, b, c, d]);
        for (scores, products) in scores.iter_mut().zip(products) {
            scores[position..position + 4].copy_from_slice(&products.map(|product| product * scale));
        }
        position += 4;
    }
    for key in groups.remainder().chunks_exact(head_dim) {
        let products = products::<S, QUERIES, 1>(simd, queries, [key]);
        for (scores, [product]) in scores.iter_mut().zip(products) {
            scores[position] = product * scale;
        }
        position += 1;
    }
}

#[inline(always)]
fn products<S: Simd, const QUERIES: usize, const KEYS: usize>(
    simd: S,
    queries: [&[f32]; QUERIES],
    keys: [&[f32]; KEYS],
) -> [[f32; KEYS]; QUERIES] {
    let blocks = queries[0].len() / BLOCK;
    let mut sums = [[simd.splat(0.0); KEYS]; QUERIES];
    let mut query_blocks: [&[[f32; BLOCK]]; QUERIES] = [&[]; QUERIES];
    for (blocks_of, query) in query_blocks.iter_mut().zip(queries) {
        *blocks_of = &query.as_chunks().0[..blocks];
    }
    let mut key_blocks: [&[[f32; BLOCK]]; KEYS] = [&[]; KEYS];
    for (blocks_of, key) in key_blocks.iter_mut().zip(keys) {
        *blocks_of = &key.as_chunks().0[..blocks];
    }
    for block in 0..blocks {
        let x = query_blocks.map(|blocks| &blocks[block]);
        add_products(simd, x, key_blocks.map(|blocks| &blocks[block]), &mut sums);
    }
    if !queries[0].len().is_multiple_of(BLOCK) {
        let (x, keys) = (queries.map(|x| padded(&x[blocks * BLOCK..])), keys.map(|key| padded(&key[blocks * BLOCK..])));
        add_products(simd, x.each_ref(), keys.each_ref(), &mut sums);
    }
    let mut totals = [[0.0; KEYS]; QUERIES];
    for query in 0..QUERIES {
        totals[query] = sum_each(simd, sums[query]);
    }
    totals
}

#[inline(always)]
fn add_products<S: Simd, const QUERIES: usize, const KEYS: usize>(
    simd: S,
    queries: [&[f32; BLOCK]; QUERIES],
    keys: [&[f32; BLOCK]; KEYS],
    sums: &mut [[S::Vector; KEYS]; QUERIES],
) {
    for key in 0..KEYS {
        let numbers = simd.load(keys[key]);
        for query in 0..QUERIES {
            for (x, number) in simd.load(queries[query]).as_ref().iter().zip(numbers.as_ref()) {
                sums[query][key] = simd.mul_add(*x, *number, sums[query][key]);
            }
        }
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
