//! The memory of all weights: few large pieces, tensor after tensor. Decoding reads all of it for every token, and
//! walking through the tables of small pages costs a third of memory's rate; a host can put large pages under a large
//! piece, and none under a tensor that is smaller than a page.

use super::{
    Workers,
    buffer::{Buffer, LINE_BYTES},
};
use crate::{Error, Result};

/// A piece is no larger, unless a tensor alone is: 32-bit processors cannot address one of more than 2 GiB.
const PIECE_BYTES_MAX: u64 = 1 << 30;

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    piece: usize,
    start: usize,
    bytes: usize,
}

/// All weights.
#[derive(Default)]
pub struct Weights {
    pieces: Vec<Buffer>,
}

impl Weights {
    /// Zeros for tensors of so many bytes, and where each lies.
    pub fn zeroed(workers: &dyn Workers, tensors: &[u64]) -> Result<(Self, Vec<Span>)> {
        let (mut sizes, mut spans) = (Vec::<u64>::new(), Vec::with_capacity(tensors.len()));
        for bytes in tensors {
            let padded = bytes.div_ceil(LINE_BYTES as u64).saturating_mul(LINE_BYTES as u64);
            match sizes.last_mut() {
                Some(size) if padded <= PIECE_BYTES_MAX.saturating_sub(*size) => *size += padded,
                _ => sizes.push(padded),
            }
            // A piece that does not fit the number is refused below.
            let start = usize::try_from(sizes.last().map_or(0, |size| size - padded)).unwrap_or(usize::MAX);
            let bytes = usize::try_from(*bytes).unwrap_or(usize::MAX);
            spans.push(Span { piece: sizes.len() - 1, start, bytes });
        }
        let total: u64 = sizes.iter().fold(0, |total, size| total.saturating_add(*size));
        let mut pieces = Vec::with_capacity(sizes.len());
        for size in sizes {
            pieces.push(Buffer::zeroed(workers, "the weights", size).map_err(|error| of_all(error, total))?);
        }
        Ok((Self { pieces }, spans))
    }

    /// One more piece, for tensors that come and go; [`Self::span_in`] says where in it they lie.
    pub fn add_slot(&mut self, workers: &dyn Workers, bytes: u64) -> Result<usize> {
        self.pieces.push(Buffer::zeroed(workers, "weights that come and go", bytes)?);
        Ok(self.pieces.len() - 1)
    }

    /// Where a tensor lies in a slot while it is there.
    pub fn span_in(piece: usize, start: u64, bytes: u64) -> Span {
        let number = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Span { piece, start: number(start), bytes: number(bytes) }
    }

    /// Takes a slot's memory out.
    pub fn lend(&mut self, piece: usize) -> Buffer {
        std::mem::take(&mut self.pieces[piece])
    }

    /// Puts it back.
    pub fn give_back(&mut self, piece: usize, buffer: Buffer) {
        self.pieces[piece] = buffer;
    }

    /// A tensor's bytes.
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.pieces[span.piece].bytes()[span.start..][..span.bytes]
    }

    /// A tensor's bytes.
    pub fn bytes_mut(&mut self, span: Span) -> &mut [u8] {
        &mut self.pieces[span.piece].bytes_mut()[span.start..][..span.bytes]
    }

    /// Bytes of all pieces.
    pub fn allocated_bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes().len() as u64).sum()
    }
}

/// The same refusal, with what all pieces take instead of the one that was refused.
fn of_all(error: Error, total: u64) -> Error {
    match error {
        Error::OutOfMemory { what, available_bytes, .. } => {
            Error::OutOfMemory { what, requested_bytes: total, available_bytes }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cpu::Serial;

    #[test]
    fn tensors_lie_on_cache_lines_and_apart() {
        let sizes = [100, 64, 1, 4096, 0, 7];
        let (mut weights, spans) = Weights::zeroed(&Serial, &sizes).unwrap();
        for (fill, span) in (1..).zip(&spans) {
            weights.bytes_mut(*span).fill(fill);
        }
        for ((fill, span), size) in (1..).zip(&spans).zip(sizes) {
            let bytes = weights.bytes(*span);
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(bytes.as_ptr().addr() % LINE_BYTES, 0);
            assert!(bytes.iter().all(|byte| *byte == fill));
        }
        assert_eq!(weights.allocated_bytes(), 128 + 64 + 64 + 4096 + 64);
    }

    #[test]
    fn a_refusal_names_all_that_was_asked_for() {
        let asked = [PIECE_BYTES_MAX, 1 << 60, 5];
        let Err(Error::OutOfMemory { what, requested_bytes, .. }) = Weights::zeroed(&Serial, &asked) else {
            panic!("an exbibyte was granted");
        };
        assert_eq!((what.as_str(), requested_bytes), ("the weights", PIECE_BYTES_MAX + (1 << 60) + 64));
        assert!(Weights::zeroed(&Serial, &[u64::MAX, u64::MAX]).is_err());
    }
}
