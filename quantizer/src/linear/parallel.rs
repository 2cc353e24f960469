//! Work on parts of a slice, on the threads that the caller brings.

use std::sync::{Mutex, PoisonError};

use hearth_engine::device::Workers;

/// Calls `work` with the number and the part of each piece of `length` elements (the last may be shorter).
pub fn for_pieces<T: Send>(
    workers: &dyn Workers,
    whole: &mut [T],
    length: usize,
    work: &(dyn Fn(usize, &mut [T]) + Sync),
) {
    let pieces: Vec<Mutex<&mut [T]>> = whole.chunks_mut(length.max(1)).map(Mutex::new).collect();
    workers.run(pieces.len(), &|part| {
        if let Some(piece) = pieces.get(part) {
            work(part, &mut piece.lock().unwrap_or_else(PoisonError::into_inner));
        }
    });
}
