//! LDLQ with all strips of a matrix at the same block of columns, so that somebody can encode a tile of each at once.

use hearth_engine::{
    device::Workers,
    quant::trellis::{STRIP_ROWS, TILE_COLUMNS, TILE_WEIGHTS, tile_bytes},
};

use super::{
    parallel::for_pieces,
    rounding::{Begun, Rounding, Strip},
};
use crate::trellis::{EncodesTiles, Scratch};

/// Strips of a matrix. They are the same as if each had been rounded for itself. None are complete if it is cancelled.
pub(super) fn round_together(
    workers: &dyn Workers,
    rounding: &Rounding<'_>,
    encoder: &dyn EncodesTiles,
    weights: &[f32],
    factor: f32,
) -> Vec<Strip> {
    let columns = rounding.hessian.columns();
    let strips = weights.chunks(STRIP_ROWS * columns);
    let mut begun: Vec<Begun> = strips.map(|rows| Begun::new(rows, rounding, factor)).collect();
    let ring_bytes = tile_bytes(rounding.trellis.bits());
    let mut targets = vec![0; begun.len() * TILE_WEIGHTS];
    for block in (0..columns / TILE_COLUMNS).rev() {
        if (rounding.is_cancelled)() {
            return Vec::new();
        }
        for_pieces(workers, &mut targets, TILE_WEIGHTS, &|at, out| {
            out.copy_from_slice(&begun[at].targets(rounding, block));
        });
        let rings = encoder.encode(rounding.trellis, &targets).filter(|rings| rings.len() == begun.len() * ring_bytes);
        let rings = rings.unwrap_or_else(|| encode_here(workers, rounding, &targets));
        for_pieces(workers, &mut begun, 1, &|at, strip| {
            if let Some(strip) = strip.first_mut() {
                strip.take(rounding, block, &rings[at * ring_bytes..][..ring_bytes]);
            }
        });
    }
    let mut begun: Vec<Option<Begun>> = begun.into_iter().map(Some).collect();
    let mut done: Vec<Strip> = Vec::new();
    done.resize_with(begun.len(), Strip::default);
    let mut both: Vec<(&mut Option<Begun>, &mut Strip)> = begun.iter_mut().zip(&mut done).collect();
    for_pieces(workers, &mut both, 1, &|_, pair| {
        if let Some((begun, out)) = pair.first_mut()
            && let Some(begun) = begun.take()
        {
            **out = begun.finish(rounding);
        }
    });
    done
}

/// The rings of all tiles, found on the caller's threads.
fn encode_here(workers: &dyn Workers, rounding: &Rounding<'_>, targets: &[u16]) -> Vec<u8> {
    let ring_bytes = tile_bytes(rounding.trellis.bits());
    let mut rings = vec![0; targets.len() / TILE_WEIGHTS * ring_bytes];
    let tiles = targets.as_chunks::<TILE_WEIGHTS>().0;
    for_pieces(workers, &mut rings, ring_bytes, &|at, ring| {
        rounding.trellis.encode_targets(&tiles[at], &mut Scratch::default(), ring);
    });
    rings
}
