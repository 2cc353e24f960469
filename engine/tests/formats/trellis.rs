//! The trellis formats: equal to the last bit to what a slow reference makes of the formula.

use hearth_engine::{
    Error,
    quant::trellis::{
        Code, Codebook, STRIP_ROWS, TILE_COLUMNS, WINDOW_BITS, decode_rows, decode_tile, strip_bytes, windows,
    },
    tensor::Format,
};
use safetensors::{SafeTensors, tensor::TensorView};

use crate::files::repository;

fn floats(view: &TensorView<'_>) -> Vec<u32> {
    view.data().as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

#[test]
fn decoding_is_exact() {
    let file = repository("tests/golden/trellis.safetensors");
    let golden = SafeTensors::deserialize(&file).unwrap();
    let mut compared = 0;
    for format in Format::TRELLIS {
        let bits = format.trellis_bits().unwrap();
        let stored = golden.tensor(&format!("trellis{bits}.stored")).unwrap();
        for codebook in Codebook::ALL {
            for window_bits in WINDOW_BITS {
                let name = format!("trellis{bits}.{}.{window_bits}", codebook.name());
                let expected = golden.tensor(&name).unwrap();
                let &[rows, columns] = expected.shape() else { panic!("{name} is no matrix") };
                assert_eq!(stored.shape(), [rows.div_ceil(STRIP_ROWS), strip_bytes(bits, columns)]);
                assert_eq!(format.rows_bytes(rows as u64, columns as u64), Some(stored.data().len() as u64));
                let mut out = vec![0.0; rows * columns];
                decode_rows(bits, Code::new(codebook, window_bits).unwrap(), stored.data(), columns, &mut out);
                let found: Vec<u32> = out.iter().map(|weight| weight.to_bits()).collect();
                assert_eq!(found, floats(&expected), "{name}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 30);
}

/// What every decoder that steps from weight to weight rests on.
#[test]
fn a_window_is_the_one_before_it_moved_by_a_weights_bits() {
    for bits in 2..=6 {
        let tile: Vec<u8> = (0..32 * bits).map(|at: u32| (at.wrapping_mul(0x9e37_79b1) >> 13) as u8).collect();
        let found = windows(bits, &tile);
        for at in 0..found.len() {
            let next = found[(at + 1) % found.len()];
            assert_eq!(found[at] >> bits, next & (u16::MAX >> bits), "{bits} bits, weight {at}");
        }
    }
}

#[test]
fn numbers_lie_around_zero() {
    for codebook in Codebook::ALL {
        let code = Code::new(codebook, 16).unwrap();
        let numbers: Vec<f64> = (0..=u16::MAX).map(|window| f64::from(code.number(window))).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let deviation = (numbers.iter().map(|number| number * number).sum::<f64>() / numbers.len() as f64).sqrt();
        assert!(mean.abs() < 0.02 * deviation, "{}: {mean} of {deviation}", codebook.name());
        let scaled = deviation * f64::from(codebook.unit());
        assert!((1.1..1.2).contains(&scaled), "{}: {scaled}", codebook.name());
        assert!(numbers.iter().all(|number| number.abs() <= f64::from(codebook.offset())));
    }
}

#[test]
fn a_width_that_no_window_has_is_refused() {
    for window_bits in [0, 11, 13, 17, u32::MAX] {
        let Err(Error::BadConfig { field, reason }) = Code::new(Codebook::Sum7, window_bits) else {
            panic!("{window_bits} bits were taken")
        };
        assert_eq!(field, "quantization_config.window_bits");
        assert!(reason.contains(&window_bits.to_string()), "{reason}");
    }
}

#[test]
fn a_tile_has_its_weights_column_by_column() {
    // All zeros but the bits of weight 16 * 3 + 5 alone, whose window others share.
    let mut tile = vec![0; 32 * 4];
    tile[(16 * 3 + 5) * 4 / 8] = 0xf0;
    let zero = Code::default().number(0) as i16;
    let numbers = decode_tile(4, Code::default(), &tile);
    let differing: Vec<usize> = (0..256).filter(|at| numbers[*at] != zero).collect();
    assert_eq!(differing, [50, 51, 52, 53]);
    assert_eq!(16 * TILE_COLUMNS, numbers.len());
}
