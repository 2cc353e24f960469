//! How sixteen rows are interleaved: block by block, and in each block field by field, so that a vector finds the same
//! bytes of every row beside each other. No bit is added or lost, and each row can be put in and taken out alone.

use crate::{device::cpu::simd::ROWS, tensor::Format};

/// A part of a block.
#[derive(Clone, Copy)]
enum Field {
    /// So many single bytes.
    Bytes(usize),
    /// So many pairs of bytes: binary16.
    Halves(usize),
    /// So many fours: weights.
    Fours(usize),
    /// A bit for each of 32 weights: bit `4 i + k` becomes bit `i` of byte `k`, where the vector has the four weights
    /// from `4 i` on.
    Bits,
}

use Field::{Bits, Bytes, Fours, Halves};

/// The fields of a format's block; `None` for formats that stay as they are stored.
const fn fields(format: Format) -> Option<&'static [Field]> {
    Some(match format {
        Format::Q8_0 => &[Halves(1), Fours(8)],
        Format::Q4_0 | Format::IQ4_NL => &[Halves(1), Fours(4)],
        Format::Q4_1 => &[Halves(2), Fours(4)],
        Format::Q5_0 => &[Halves(1), Bits, Fours(4)],
        Format::Q5_1 => &[Halves(2), Bits, Fours(4)],
        Format::MXFP4 => &[Bytes(1), Fours(4)],
        Format::Q2_K => &[Bytes(16), Fours(16), Halves(2)],
        Format::Q3_K => &[Fours(24), Bytes(12), Halves(1)],
        Format::Q4_K => &[Halves(2), Bytes(12), Fours(32)],
        Format::Q5_K => &[Halves(2), Bytes(12), Fours(40)],
        Format::Q6_K => &[Fours(48), Bytes(16), Halves(1)],
        Format::IQ4_XS => &[Halves(2), Bytes(4), Fours(32)],
        Format::TQ2_0 => &[Fours(16), Halves(1)],
        _ => return None,
    })
}

/// Whether there is an interleaved form of the format.
pub const fn exists(format: Format) -> bool {
    fields(format).is_some()
}

/// Puts a row into its lane of a group.
pub fn insert(format: Format, row: &[u8], group: &mut [u8], lane: usize) {
    let block_bytes = format.block_bytes();
    for (block, group) in row.chunks_exact(block_bytes).zip(group.chunks_exact_mut(ROWS * block_bytes)) {
        let (mut block, mut group) = (block, group);
        for field in fields(format).unwrap_or_default() {
            (block, group) = match *field {
                Bytes(count) => insert_field::<1>(count, block, group, lane, |unit| unit),
                Halves(count) => insert_field::<2>(count, block, group, lane, |unit| unit),
                Fours(count) => insert_field::<4>(count, block, group, lane, |unit| unit),
                Bits => insert_field::<4>(1, block, group, lane, spread),
            };
        }
    }
}

/// Interleaves sixteen rows, one behind the other, where they lie. `rows` of them are rows; the others become zeros.
pub fn interleave(format: Format, group: &mut [u8], rows: usize, stored: &mut Vec<u8>) {
    let row_bytes = group.len() / ROWS;
    group[rows.min(ROWS) * row_bytes..].fill(0);
    stored.clear();
    stored.extend_from_slice(group);
    for (lane, row) in stored.chunks_exact(row_bytes.max(1)).enumerate() {
        insert(format, row, group, lane);
    }
}

/// Takes a row out of its lane of a group.
pub fn extract(format: Format, group: &[u8], lane: usize, row: &mut [u8]) {
    let block_bytes = format.block_bytes();
    for (block, group) in row.chunks_exact_mut(block_bytes).zip(group.chunks_exact(ROWS * block_bytes)) {
        let (mut block, mut group) = (block, group);
        for field in fields(format).unwrap_or_default() {
            (block, group) = match *field {
                Bytes(count) => extract_field::<1>(count, block, group, lane, |unit| unit),
                Halves(count) => extract_field::<2>(count, block, group, lane, |unit| unit),
                Fours(count) => extract_field::<4>(count, block, group, lane, |unit| unit),
                Bits => extract_field::<4>(1, block, group, lane, collect),
            };
        }
    }
}

/// Returns what is behind the field in both.
fn insert_field<'a, 'b, const UNIT: usize>(
    count: usize,
    block: &'a [u8],
    group: &'b mut [u8],
    lane: usize,
    change: impl Fn([u8; UNIT]) -> [u8; UNIT],
) -> (&'a [u8], &'b mut [u8]) {
    let (field, block_rest) = block.split_at(count * UNIT);
    let (group_field, group_rest) = group.split_at_mut(count * UNIT * ROWS);
    for (unit, rows) in field.as_chunks::<UNIT>().0.iter().zip(group_field.chunks_exact_mut(UNIT * ROWS)) {
        rows.as_chunks_mut().0[lane] = change(*unit);
    }
    (block_rest, group_rest)
}

/// Returns what is behind the field in both.
fn extract_field<'a, 'b, const UNIT: usize>(
    count: usize,
    block: &'a mut [u8],
    group: &'b [u8],
    lane: usize,
    change: impl Fn([u8; UNIT]) -> [u8; UNIT],
) -> (&'a mut [u8], &'b [u8]) {
    let (field, block_rest) = block.split_at_mut(count * UNIT);
    let (group_field, group_rest) = group.split_at(count * UNIT * ROWS);
    for (unit, rows) in field.as_chunks_mut::<UNIT>().0.iter_mut().zip(group_field.chunks_exact(UNIT * ROWS)) {
        *unit = change(rows.as_chunks().0[lane]);
    }
    (block_rest, group_rest)
}

/// See [`Bits`].
fn spread(bytes: [u8; 4]) -> [u8; 4] {
    let word = u32::from_le_bytes(bytes);
    std::array::from_fn(|byte| (0..8).fold(0, |bits, four| bits | ((word >> (4 * four + byte) & 1) as u8) << four))
}

/// Undoes [`spread`].
fn collect(bytes: [u8; 4]) -> [u8; 4] {
    let bit = |at: usize| u32::from(bytes[at % 4] >> (at / 4) & 1) << at;
    (0..32).fold(0, |word, at| word | bit(at)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut seed = 1u32;
        let mut byte = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        for format in Format::ALL.into_iter().filter(|format| exists(*format)) {
            let row_bytes = 3 * format.block_bytes();
            let rows: Vec<Vec<u8>> = (0..ROWS).map(|_| (0..row_bytes).map(|_| byte()).collect()).collect();
            let mut group = vec![0; ROWS * row_bytes];
            // In an order of no help.
            for lane in (0..ROWS).map(|nth| nth * 7 % ROWS) {
                insert(format, &rows[lane], &mut group, lane);
            }
            for (lane, row) in rows.iter().enumerate() {
                let mut found = vec![0; row_bytes];
                extract(format, &group, lane, &mut found);
                assert_eq!(&found, row, "{format}, lane {lane}");
            }
        }
    }

    #[test]
    fn rows_are_interleaved_where_they_lie() {
        for format in Format::ALL.into_iter().filter(|format| exists(*format)) {
            let row_bytes = 2 * format.block_bytes();
            let stored: Vec<u8> = (0..ROWS * row_bytes).map(|at| (at * 31 % 251) as u8).collect();
            let mut expected = vec![0; ROWS * row_bytes];
            for lane in 0..ROWS {
                let zeros = vec![0; row_bytes];
                let row = if lane < 11 { &stored[lane * row_bytes..][..row_bytes] } else { &zeros };
                insert(format, row, &mut expected, lane);
            }
            let mut group = stored;
            interleave(format, &mut group, 11, &mut Vec::new());
            assert_eq!(group, expected, "{format}");
        }
    }

    #[test]
    fn fields_are_as_long_as_the_block() {
        for format in Format::ALL {
            let length = |field: &Field| match *field {
                Bytes(count) => count,
                Halves(count) => 2 * count,
                Fours(count) => 4 * count,
                Bits => 4,
            };
            if let Some(fields) = fields(format) {
                assert_eq!(fields.iter().map(length).sum::<usize>(), format.block_bytes(), "{format}");
            }
        }
    }
}
