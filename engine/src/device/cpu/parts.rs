//! Splits work among the workers.

use std::sync::{Mutex, PoisonError};

use super::Workers;

/// Into how many parts to split `work`, of which a part should get at least `least`: a few more than there are
/// workers, since their cores need not be equally fast nor equally free.
pub fn count(workers: &dyn Workers, work: usize, least: usize) -> usize {
    const PARTS_A_WORKER: usize = 4;
    let most = if workers.count() > 1 { workers.count() * PARTS_A_WORKER } else { 1 };
    (work / least).clamp(1, most)
}

/// Gives each piece to one worker.
pub fn each<Piece: Send>(workers: &dyn Workers, pieces: Vec<Piece>, work: impl Fn(Piece) + Sync) {
    if pieces.len() <= 1 {
        pieces.into_iter().for_each(work);
        return;
    }
    let pieces: Vec<Mutex<Option<Piece>>> = pieces.into_iter().map(|piece| Mutex::new(Some(piece))).collect();
    workers.run(pieces.len(), &|part| {
        if let Some(piece) = pieces[part].lock().unwrap_or_else(PoisonError::into_inner).take() {
            work(piece);
        }
    });
}

/// Gives pieces of `out` to the workers, whole units of `unit` elements each, with the number of a piece's first unit.
pub fn each_slice(
    workers: &dyn Workers,
    parts: usize,
    unit: usize,
    out: &mut [f32],
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    let units = (out.len() / unit).div_ceil(parts).max(1);
    let pieces = out.chunks_mut(units * unit).enumerate().map(|(nth, piece)| (nth * units, piece)).collect();
    each(workers, pieces, |(first, piece): (usize, &mut [f32])| work(first, piece));
}
