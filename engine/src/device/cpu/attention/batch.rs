//! For a batch: a tile's keys and values become panels, through which go all queries that see them.

use super::{Group, Piece, Query, Seen, TILE, cached::Cached, share};
use crate::{
    device::cpu::{
        dot::padded,
        panel::{self, Panel, by_tiles},
        simd::{BLOCK, Simd},
    },
    kernel::Matrix,
    quant::trellis::Code,
    tensor::Format,
};

/// Panels of a tile's positions.
const HALVES: usize = TILE / BLOCK;

/// A tile of the cache.
struct Tile<'a> {
    /// The first position.
    start: usize,
    /// How many.
    count: usize,
    /// For each 32 positions, the numbers of their keys: (2, head_dim, 32).
    keys: &'a Panel,
    /// For each 32 numbers of a value, the positions: (head_dim / 32, count, 32).
    values: &'a Panel,
}

/// Answers all queries of the group.
#[inline(always)]
pub fn attend<S: Simd>(simd: S, piece: &mut Piece<'_>, group: Group, keys: Cached<'_>, values: Cached<'_>) {
    let head_dim = group.head_dim;
    let parts = head_dim.div_ceil(BLOCK);
    let mut key_panels = vec![[0.0; BLOCK]; HALVES * head_dim];
    let mut value_panels = vec![[0.0; BLOCK]; parts * TILE];
    let (mut key_numbers, mut value_numbers) = (Vec::new(), Vec::new());
    let mut seen = vec![Seen::NOTHING; group.count];
    for index in 0..group.count {
        piece.out[group.query(index).start..][..head_dim].fill(0.0);
    }
    let visible = group.query(group.count - 1).visible;
    for start in (0..visible).step_by(TILE) {
        let count = TILE.min(visible - start);
        // Tokens before the tile see nothing of it, unless all see all; nor do those whose window begins behind it.
        let first_token = if group.end > 0 { 0 } else { start.saturating_sub(group.position) };
        let tokens = (start + count).saturating_add(group.window - 1).saturating_sub(group.position);
        let (mut index, end) = (first_token * group.heads, group.count.min(tokens.saturating_mul(group.heads)));
        if index >= end {
            continue;
        }
        let keys = keys.tile(simd, start, count, &mut key_numbers);
        let values = values.tile(simd, start, count, &mut value_numbers);
        let matrix = Matrix {
            format: Format::F32,
            rows: count,
            columns: head_dim,
            bytes: bytemuck::cast_slice(keys),
            code: Code::default(),
        };
        for (half, panel) in key_panels.chunks_exact_mut(head_dim).enumerate().take(count.div_ceil(BLOCK)) {
            panel::fill(simd, matrix, half * BLOCK, 0, panel);
        }
        for (part, panel) in value_panels.chunks_exact_mut(count).enumerate().take(parts) {
            copy_values(values, head_dim, part * BLOCK, panel);
        }
        let tile = Tile { start, count, keys: &key_panels, values: &value_panels[..parts * count] };
        by_tiles!(S, end - index, QUERIES => {
            look::<S, QUERIES>(simd, piece, group, index, &tile, &mut seen);
            index += QUERIES;
        });
    }
    for (index, seen) in seen.iter().enumerate() {
        for out in &mut piece.out[group.query(index).start..][..head_dim] {
            *out /= seen.total;
        }
    }
}

/// Some numbers of each value.
#[inline(always)]
fn copy_values(values: &[f32], head_dim: usize, first: usize, panel: &mut Panel) {
    for (value, numbers) in values.chunks_exact(head_dim).zip(panel) {
        *numbers = match value[first..].first_chunk() {
            Some(numbers) => *numbers,
            None => padded(&value[first..]),
        };
    }
}

/// Shows the tile to some queries.
#[inline(always)]
fn look<S: Simd, const QUERIES: usize>(
    simd: S,
    piece: &mut Piece<'_>,
    group: Group,
    first: usize,
    tile: &Tile<'_>,
    seen: &mut [Seen],
) {
    let head_dim = group.head_dim;
    let mut queries = [Query { start: 0, first: 0, visible: 0 }; QUERIES];
    let mut x: [&[f32]; QUERIES] = [&[]; QUERIES];
    for nth in 0..QUERIES {
        queries[nth] = group.query(first + nth);
        x[nth] = &piece.queries[queries[nth].start..][..head_dim];
    }
    let mut scores = [[f32::MIN; TILE]; QUERIES];
    for (half, panel) in tile.keys.chunks_exact(head_dim).enumerate().take(tile.count.div_ceil(BLOCK)) {
        let products = panel::multiply::<S, QUERIES>(simd, panel, x);
        for (scores, mut products) in scores.iter_mut().zip(products) {
            for product in products.as_mut() {
                *product = simd.mul(*product, simd.splat(piece.attention.params.scale));
            }
            simd.store(products, &mut scores.as_chunks_mut().0[half]);
        }
    }
    let mut shrinks = [0.0; QUERIES];
    let mut shares: [&[f32]; QUERIES] = [&[]; QUERIES];
    for (nth, scores) in scores.iter_mut().enumerate() {
        let softcap = piece.attention.params.softcap;
        shrinks[nth] = share(simd, scores, tile.start, queries[nth], softcap, &mut seen[first + nth]);
        shares[nth] = &scores[..tile.count];
    }
    for (part, panel) in tile.values.chunks_exact(tile.count).enumerate() {
        let mixed = panel::multiply::<S, QUERIES>(simd, panel, shares);
        for nth in 0..QUERIES {
            let out = &mut piece.out[queries[nth].start..][..head_dim][part * BLOCK..];
            match out.first_chunk_mut::<BLOCK>() {
                Some(out) => shrink_and_add(simd, shrinks[nth], mixed[nth], out),
                None => {
                    let mut block = padded(out);
                    shrink_and_add(simd, shrinks[nth], mixed[nth], &mut block);
                    out.copy_from_slice(&block[..out.len()]);
                }
            }
        }
    }
}

#[inline(always)]
fn shrink_and_add<S: Simd>(simd: S, shrink: f32, mut mixed: S::Block, out: &mut [f32; BLOCK]) {
    for (mixed, before) in mixed.as_mut().iter_mut().zip(simd.load(out).as_ref()) {
        *mixed = simd.mul_add(*before, simd.splat(shrink), *mixed);
    }
    simd.store(mixed, out);
}
