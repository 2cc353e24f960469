//! LEVELS2: equal to the last bit to what a slow reference makes of its description.

use hearth_engine::{
    kernel::Matrix,
    quant::{
        levels2::{TILE_BYTES, column_bit},
        strips::decode_rows,
        trellis::{Code, STRIP_ROWS, strip_bytes, tile_bytes},
    },
    tensor::Format,
};
use safetensors::SafeTensors;

use crate::files::repository;

#[test]
fn decoding_is_exact() {
    let file = repository("tests/golden/levels2.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let (stored, expected) = (golden.tensor("levels2.stored").unwrap(), golden.tensor("levels2.weights").unwrap());
    let &[rows, columns] = expected.shape() else { panic!("it is no matrix") };
    assert_eq!(stored.shape(), [rows.div_ceil(STRIP_ROWS), strip_bytes(2, columns)]);
    assert_eq!(Format::Levels2.rows_bytes(rows as u64, columns as u64), Some(stored.data().len() as u64));
    let expected: Vec<u32> = expected.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let mut out = vec![0.0f32; rows * columns];
    decode_rows(Format::Levels2, Code::default(), stored.data(), columns, &mut out);
    assert_eq!(out.iter().map(|weight| weight.to_bits()).collect::<Vec<_>>(), expected);
    // Row by row, as embeddings are read.
    let matrix = Matrix { format: Format::Levels2, rows, columns, bytes: stored.data(), code: Code::default() };
    let mut row = vec![0.0f32; columns];
    for (at, expected) in expected.chunks_exact(columns).enumerate() {
        matrix.decode_row(at, &mut row);
        assert_eq!(row.iter().map(|weight| weight.to_bits()).collect::<Vec<_>>(), expected, "row {at}");
    }
}

#[test]
fn four_columns_lie_in_the_bytes_of_a_word() {
    assert_eq!(TILE_BYTES, tile_bytes(2));
    for j in 0..4 {
        let mask = (0..4).fold(0u32, |mask, b| mask | 3 << column_bit(4 * j + b));
        assert_eq!(mask >> (2 * j), 0x0303_0303);
    }
}
