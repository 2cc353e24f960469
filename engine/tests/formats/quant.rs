//! Quantization: equal to the last bit to what the `gguf` Python package makes of the same bytes.

use hearth_engine::{
    Error,
    file::Catalog,
    quant::{GpuLayout, decode_row, encode_row, repack},
    tensor::Format,
};
use proptest::prelude::*;

use crate::files::{open_gguf, repository};

/// A whole tensor of the golden file, and its row's length.
fn golden(catalog: &Catalog, name: &str) -> (Vec<u8>, u64) {
    let tensor = catalog.tensor(name).unwrap();
    (pollster::block_on(catalog.read_rows(tensor, 0..tensor.rows())).unwrap(), tensor.columns())
}

/// The golden file that has a format.
fn golden_file(format: Format) -> Catalog {
    let file = if format.block_elements() == 256 { "quant_256.gguf" } else { "quant.gguf" };
    open_gguf(&repository(&format!("tests/golden/{file}"))).unwrap().catalog
}

fn bits(elements: &[f32]) -> Vec<u32> {
    elements.iter().map(|element| element.to_bits()).collect()
}

fn decode(format: Format, bytes: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; bytes.len() / format.block_bytes() * format.block_elements()];
    decode_row(format, bytes, &mut out);
    out
}

#[test]
fn decoding_is_exact() {
    for format in Format::ALL {
        let catalog = golden_file(format);
        assert_eq!(catalog.tensor(&format!("{format}.stored")).unwrap().format, format);
        let (stored, _) = golden(&catalog, &format!("{format}.stored"));
        let (expected, _) = golden(&catalog, &format!("{format}.decoded"));
        assert_eq!(bits(&decode(format, &stored)), bits(&decode(Format::F32, &expected)), "{format}");
    }
}

#[test]
fn encoding_rounds_as_the_reference_does() {
    let mut read_only = Vec::new();
    for format in Format::ALL {
        let catalog = golden_file(format);
        let (source, _) = golden(&catalog, "source");
        let encoded = match encode_row(format, &decode(Format::F32, &source)) {
            Ok(encoded) => encoded,
            Err(Error::InvalidRequest { reason, .. }) => {
                assert!(reason.contains(format.name()), "{reason}");
                read_only.push(format);
                continue;
            }
            Err(error) => panic!("{format}: {error}"),
        };
        let (expected, columns) = golden(&catalog, &format!("{format}.encoded"));
        let row_bytes = format.row_bytes(columns).unwrap() as usize;
        for (row, (found, expected)) in encoded.chunks(row_bytes).zip(expected.chunks(row_bytes)).enumerate() {
            assert_eq!(found, expected, "row {row} in {format}");
        }
        assert_eq!(encoded.len(), expected.len());
    }
    let searching = |format: &Format| format.name().starts_with("IQ") || format.name().ends_with("_K");
    assert_eq!(read_only, Format::ALL.into_iter().filter(searching).collect::<Vec<_>>());
}

#[test]
fn every_half_is_decoded_as_the_standard_defines_it() {
    for bits in 0..=u16::MAX {
        let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
        let magnitude = match exponent {
            0x1F => continue,
            0 => fraction * 2f64.powi(-24),
            exponent => (1024.0 + fraction) * 2f64.powi(exponent - 25),
        };
        let expected = if bits >> 15 == 1 { -magnitude } else { magnitude };
        let decoded = decode(Format::F16, &bits.to_le_bytes())[0];
        assert_eq!(f64::from(decoded).to_bits(), expected.to_bits(), "{bits:#06x}");
    }
}

/// What a shader makes of repacked rows: a word at a time.
fn decode_repacked(format: Format, quants: &[u8], scales: &[u8]) -> Vec<f32> {
    let words: Vec<u32> = quants.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let scales = decode(Format::F16, scales);
    match format {
        Format::F32 => words.iter().map(|word| f32::from_bits(*word)).collect(),
        Format::F16 | Format::BF16 => decode(format, quants),
        Format::Q8_0 => (0..4 * words.len())
            .map(|element| {
                let byte = (words[element / 4] >> (8 * (element % 4))) as u8 as i8;
                scales[element / 32] * f32::from(byte)
            })
            .collect(),
        Format::Q4_0 => (0..8 * words.len())
            .map(|element| {
                let nibble = words[element / 8] >> (4 * (element % 8)) & 0xF;
                scales[element / 32] * (nibble as f32 - 8.0)
            })
            .collect(),
        _ => panic!("{format} is not reordered"),
    }
}

#[test]
fn repacked_blocks_are_whole_words_and_lose_nothing() {
    for format in Format::ALL.into_iter().filter(|format| format.block_elements() > 1 && *format != Format::Q4_0) {
        let (stored, columns) = golden(&golden_file(format), &format!("{format}.stored"));
        let layout = GpuLayout::of(format);
        assert!(layout.quant_bytes.is_multiple_of(4) && layout.table.len().is_multiple_of(2), "{format}");
        assert_eq!(layout.quant_bytes + layout.scale_bytes(), format.block_bytes(), "{format}");
        let packed = repack(format, columns as usize, &stored);
        let quants = packed.quants.chunks_exact(layout.quant_bytes);
        let scales = packed.scales.chunks_exact(layout.scale_bytes());
        assert_eq!(quants.len(), scales.len());
        for ((quants, scales), block) in quants.zip(scales).zip(stored.chunks_exact(format.block_bytes())) {
            let front = [scales, quants].concat() == block;
            let back = [quants, scales].concat() == block;
            assert!(front || back, "{format}");
        }
    }
}

#[test]
#[should_panic(expected = "no whole rows")]
fn rows_that_are_not_whole_are_a_mistake_of_the_caller() {
    repack(Format::Q8_0, 64, &[0; 34]);
}

proptest! {
    #[test]
    fn repacked_rows_hold_the_same_numbers(
        format in prop::sample::select(Format::ALL[..5].to_vec()),
        bytes in prop::collection::vec(0u8..0x7B, 0..1224),
    ) {
        let row_bytes = format.row_bytes(64).unwrap() as usize;
        let rows = &bytes[..bytes.len() / row_bytes * row_bytes];
        let packed = repack(format, 64, rows);
        prop_assert_eq!(bits(&decode_repacked(format, &packed.quants, &packed.scales)), bits(&decode(format, rows)));
        prop_assert_eq!(packed.quants.len() + packed.scales.len(), rows.len());
    }

    #[test]
    fn encoding_errs_by_half_a_step_at_most(elements in prop::collection::vec(-100f32..100.0, 32)) {
        let greatest = elements.iter().fold(0f32, |greatest, element| greatest.max(element.abs()));
        // Q4_0 has no +8: the element opposite to the greatest errs by a whole step. The scale's own rounding adds a bit.
        for (format, step) in [(Format::Q8_0, 0.51 * greatest / 127.0), (Format::Q4_0, 1.01 * greatest / 8.0)] {
            let decoded = decode(format, &encode_row(format, &elements).unwrap());
            for (decoded, element) in decoded.iter().zip(&elements) {
                prop_assert!((decoded - element).abs() <= step + greatest * 1e-3, "{format}: {element} -> {decoded}");
            }
        }
    }
}
