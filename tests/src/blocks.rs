//! Rows in every format. Where the engine has no encoder, their blocks are random bits with scales of a sane size.

use hearth_engine::{
    quant::{self, trellis},
    tensor::Format,
};

/// Rows of about `scale` in magnitude: `numbers` encoded if the engine can, else random blocks of as many elements.
pub fn rows(format: Format, numbers: &[f32], scale: f32, mut bits: impl FnMut() -> u64) -> Vec<u8> {
    if let Ok(bytes) = quant::encode_row(format, numbers) {
        return bytes;
    }
    let blocks = numbers.len() / format.block_elements();
    let mut bytes: Vec<u8> = (0..blocks * format.block_bytes()).map(|_| bits() as u8).collect();
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        for (at, divisor) in halves(format) {
            // Between one and two times the scale, and of either sign.
            let spread = 1.0 + (bits() % 256) as f32 / 256.0;
            let sign = if bits() & 1 == 0 { 1.0 } else { -1.0 };
            let half = f16_bits(sign * spread * scale / divisor);
            block[*at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
    }
    bytes
}

/// Strips of random bits that hold so many rows, with row scales of about 1.
pub fn strips(bits: u32, rows: usize, columns: usize, mut random: impl FnMut() -> u64) -> Vec<u8> {
    let strip_bytes = trellis::strip_bytes(bits, columns);
    let mut bytes: Vec<u8> = (0..rows.div_ceil(trellis::STRIP_ROWS) * strip_bytes).map(|_| random() as u8).collect();
    for strip in bytes.chunks_exact_mut(strip_bytes) {
        for scale in strip.as_chunks_mut::<2>().0.iter_mut().take(trellis::STRIP_ROWS) {
            let spread = 1.0 + (random() % 256) as f32 / 256.0;
            *scale = f16_bits(if random() & 1 == 0 { spread } else { -spread }).to_le_bytes();
        }
    }
    bytes
}

/// Where a block has F16 scales, and the greatest number that each is multiplied with.
fn halves(format: Format) -> &'static [(usize, f32)] {
    match format {
        Format::Q2_K => &[(80, 45.0), (82, 15.0)],
        Format::Q3_K => &[(108, 128.0)],
        Format::Q4_K => &[(0, 945.0), (2, 63.0)],
        Format::Q5_K => &[(0, 1953.0), (2, 63.0)],
        Format::Q6_K => &[(208, 4096.0)],
        Format::IQ4_NL => &[(0, 127.0)],
        Format::IQ4_XS => &[(0, 4064.0)],
        Format::IQ3_XXS => &[(0, 480.0)],
        Format::IQ3_S => &[(0, 465.0)],
        Format::IQ2_XXS | Format::IQ2_XS | Format::IQ2_S => &[(0, 166.0)],
        _ => &[],
    }
}

/// The F16 below a number, which is not subnormal.
fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23 & 0xff) as i32 - 112).clamp(1, 30) as u16;
    (bits >> 16 & 0x8000) as u16 | exponent << 10 | (bits >> 13 & 0x3ff) as u16
}
