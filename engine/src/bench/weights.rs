//! Weights that nobody trained, made where they are read: the same bytes for the same place, and never more of them in
//! memory than were asked for.

use std::ops::Range;

use half::f16;

use crate::{
    Error, Result,
    file::{BoxedFuture, ByteSource},
    quant::{self, trellis::STRIP_ROWS},
    tensor::Format,
};

/// About what trained models have; with it sums over a few thousand columns stay far from any overflow.
const RMS: f32 = 0.02;

/// Of the numbers of random windows, before their row's scale.
const NUMBERS_RMS: f32 = 1.155;

/// Of -3, -1, 1 and 3.
const LEVELS_RMS: f32 = 2.236;

/// Blocks whose magnitude is looked at to find the scale.
const TRIED_BLOCKS: usize = 64;

/// Random matrices, one behind the other, in blocks of one format.
pub struct RandomWeights {
    format: Format,
    seed: u64,
    len_bytes: u64,
    scales: Scales,
    /// Of formats that store strips: where each matrix begins, and the bytes of its strips.
    strips: Vec<(u64, u64)>,
}

impl RandomWeights {
    /// So many bytes, a whole number of blocks.
    pub fn new(format: Format, seed: u32, len_bytes: u64) -> Self {
        let (scales, strips) = (Scales::of(format), Vec::new());
        let mut source = Self { format, seed: u64::from(seed), len_bytes, scales, strips };
        if format.strip_bits().is_some() {
            source.scales.set(RMS / if format == Format::Levels2 { LEVELS_RMS } else { NUMBERS_RMS });
            return source;
        }
        source.scales.set(1.0);
        let mut values = vec![0.0; TRIED_BLOCKS * format.block_elements()];
        quant::decode_row(format, &source.bytes(0..(TRIED_BLOCKS * format.block_bytes()) as u64), &mut values);
        let squares: f32 = values.iter().map(|value| value * value).sum();
        let rms = (squares / values.len() as f32).sqrt();
        source.scales.set(RMS / rms);
        source
    }

    /// With matrices of strips, by where they begin.
    pub fn with_strips(self, strips: Vec<(u64, u64)>) -> Self {
        Self { strips, ..self }
    }

    /// Puts a scale for each row in front of each strip that begins in the range.
    fn put_row_scales(&self, range: &Range<u64>, bytes: &mut [u8]) {
        let ends = self.strips.iter().skip(1).map(|(start, _)| *start).chain([self.len_bytes]);
        for ((start, strip_bytes), end) in self.strips.iter().zip(ends) {
            let passed = range.start.saturating_sub(*start).div_ceil(*strip_bytes);
            for at in (start + passed * strip_bytes..end.min(range.end)).step_by(*strip_bytes as usize) {
                let at = (at - range.start) as usize;
                for scale in bytes[at..].as_chunks_mut::<2>().0.iter_mut().take(STRIP_ROWS) {
                    scale.copy_from_slice(&self.scales.bytes[..2]);
                }
            }
        }
    }

    /// Random bits, with the few that are scales put in their place.
    fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let first_word = range.start / 8;
        let mut bytes = vec![0; (range.end.div_ceil(8) - first_word) as usize * 8];
        let ((keep, set), is_ternary) = (self.scales.word(), self.format == Format::TQ2_0);
        for (word, place) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(first_word..) {
            let bits = random(self.seed, place);
            *word = (if is_ternary { ternary(bits) } else { bits & keep | set }).to_le_bytes();
        }
        bytes.drain(..(range.start - first_word * 8) as usize);
        bytes.truncate((range.end - range.start) as usize);
        if self.format.strip_bits().is_some() {
            self.put_row_scales(&range, &mut bytes);
            return bytes;
        }
        // A range that begins within a block is the reader's own; what is read here are rows.
        for block in bytes.chunks_exact_mut(self.format.block_bytes()) {
            self.scales.put(block);
        }
        bytes
    }
}

impl ByteSource for RandomWeights {
    fn name(&self) -> &str {
        "random weights"
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        Box::pin(std::future::ready(within(self, &range).map(|()| self.bytes(range))))
    }
}

/// Norms that change nothing.
pub struct Ones {
    len_bytes: u64,
}

impl Ones {
    /// So many bytes of F32.
    pub fn new(len_bytes: u64) -> Self {
        Self { len_bytes }
    }
}

impl ByteSource for Ones {
    fn name(&self) -> &str {
        "norms of ones"
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        let one = 1.0f32.to_le_bytes();
        let bytes = within(self, &range).map(|()| range.map(|at| one[(at % 4) as usize]).collect());
        Box::pin(std::future::ready(bytes))
    }
}

fn within(source: &dyn ByteSource, range: &Range<u64>) -> Result<()> {
    if range.start <= range.end && range.end <= source.len_bytes() {
        return Ok(());
    }
    Err(Error::Truncated {
        file: source.name().to_owned(),
        needed_bytes: range.end,
        available_bytes: source.len_bytes(),
    })
}

/// SplitMix64 (Steele, Lea and Flood 2014) at any place of its sequence.
fn random(seed: u64, place: u64) -> u64 {
    let mixed = |value: u64, shift: u32, factor: u64| (value ^ (value >> shift)).wrapping_mul(factor);
    let state = mixed(seed.wrapping_add(1), 33, 0xff51_afd7_ed55_8ccd);
    let state = state.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let state = mixed(mixed(state, 30, 0xbf58_476d_1ce4_e5b9), 27, 0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Of each two bits the fourth value, which no file of three values has, becomes the second, which stands for zero.
fn ternary(bits: u64) -> u64 {
    let both = bits & bits >> 1 & 0x5555_5555_5555_5555;
    bits & !(both << 1)
}

/// Where a block holds what multiplies it, and what is put there. All other bits may be anything.
struct Scales {
    place: Place,
    /// The bytes of the scale, and of the minimum behind it.
    bytes: [u8; 4],
}

/// How a format is kept to numbers of a sensible size.
#[derive(Clone, Copy)]
enum Place {
    /// Of each number some bits are kept, and others set: sign and fraction are random, the exponent has two values.
    Bits { keep: u32, set: u32 },
    /// An F16 at that byte of the block.
    Scale { at: usize },
    /// An F16 scale, and behind it an F16 minimum of so many scales, by which the numbers lie about zero.
    ScaleAndMinimum { at: usize, minimum: f32 },
    /// A power of two, at the block's first byte.
    Exponent,
}

impl Scales {
    fn of(format: Format) -> Self {
        use Format::{
            BF16, F16, F32, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS, Levels2, MXFP4, Q2_K, Q3_K, Q4_0,
            Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0, TQ1_0, TQ2_0, Trellis2, Trellis3, Trellis4, Trellis5, Trellis6,
        };
        let place = match format {
            F32 => Place::Bits { keep: 0x80ff_ffff, set: 0x3c00_0000 },
            BF16 => Place::Bits { keep: 0x80ff_80ff, set: 0x3c00_3c00 },
            F16 => Place::Bits { keep: 0x87ff_87ff, set: 0x2000_2000 },
            Q8_0 | Q4_0 | Q5_0 | IQ4_NL | IQ4_XS | IQ3_XXS | IQ3_S | IQ2_XXS | IQ2_XS | IQ2_S => Place::Scale { at: 0 },
            Q3_K | Q6_K | TQ1_0 | TQ2_0 => Place::Scale { at: format.block_bytes() - 2 },
            // These add their minimum, the others below take it away.
            Q4_1 => Place::ScaleAndMinimum { at: 0, minimum: -7.5 },
            Q5_1 => Place::ScaleAndMinimum { at: 0, minimum: -15.5 },
            Q2_K => Place::ScaleAndMinimum { at: format.block_bytes() - 4, minimum: 1.5 },
            Q4_K => Place::ScaleAndMinimum { at: 0, minimum: 7.5 },
            Q5_K => Place::ScaleAndMinimum { at: 0, minimum: 15.5 },
            MXFP4 => Place::Exponent,
            Trellis2 | Trellis3 | Trellis4 | Trellis5 | Trellis6 | Levels2 => Place::Scale { at: 0 },
        };
        Self { place, bytes: [0; 4] }
    }

    /// What multiplies every block from now on.
    fn set(&mut self, scale: f32) {
        let minimum = if let Place::ScaleAndMinimum { minimum, .. } = self.place { minimum } else { 0.0 };
        let ([s0, s1], [m0, m1]) = (f16::from_f32(scale).to_le_bytes(), f16::from_f32(scale * minimum).to_le_bytes());
        self.bytes = [s0, s1, m0, m1];
        if let Place::Exponent = self.place {
            self.bytes[0] = (127.0 + scale.log2().round()).clamp(1.0, 254.0) as u8;
        }
    }

    /// Which bits of eight random bytes are kept, and which are set.
    fn word(&self) -> (u64, u64) {
        let twice = |bits: u32| u64::from(bits) << 32 | u64::from(bits);
        if let Place::Bits { keep, set } = self.place { (twice(keep), twice(set)) } else { (u64::MAX, 0) }
    }

    fn put(&self, block: &mut [u8]) {
        match self.place {
            Place::Bits { .. } => {}
            Place::Scale { at } => block[at..at + 2].copy_from_slice(&self.bytes[..2]),
            Place::ScaleAndMinimum { at, .. } => block[at..at + 4].copy_from_slice(&self.bytes),
            Place::Exponent => block[0] = self.bytes[0],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(format: Format, seed: u32) -> Vec<f32> {
        let blocks = 4096 / format.block_elements();
        let source = RandomWeights::new(format, seed, (blocks * format.block_bytes()) as u64);
        let mut values = vec![f32::NAN; 4096];
        quant::decode_row(format, &source.bytes(0..source.len_bytes), &mut values);
        values
    }

    #[test]
    fn every_format_gives_finite_numbers_of_a_sensible_size_about_zero() {
        for format in Format::ALL {
            let values = decoded(format, 7);
            assert!(values.iter().all(|value| value.is_finite()), "{format}");
            let mean = values.iter().sum::<f32>() / 4096.0;
            let rms = (values.iter().map(|value| value * value).sum::<f32>() / 4096.0).sqrt();
            // A power of two comes no nearer than a factor of 1.42, and 64 blocks tell the magnitude to a few percent.
            assert!((0.6 * RMS..1.7 * RMS).contains(&rms), "{format}: {rms}");
            assert!(mean.abs() < 0.25 * RMS, "{format}: {mean}");
            assert!(values.iter().any(|value| *value > 0.0) && values.iter().any(|value| *value < 0.0), "{format}");
        }
    }

    #[test]
    fn a_place_has_the_same_bytes_however_it_is_read() {
        for format in [Format::Q4_0, Format::Q6_K, Format::F16, Format::MXFP4] {
            let block = format.block_bytes() as u64;
            let source = RandomWeights::new(format, 3, 100 * block);
            let whole = source.bytes(0..100 * block);
            let pieces: Vec<u8> = [0..1, 1..2, 2..37, 37..100]
                .into_iter()
                .flat_map(|blocks: Range<u64>| source.bytes(blocks.start * block..blocks.end * block))
                .collect();
            assert_eq!(whole, pieces, "{format}");
        }
        assert_ne!(decoded(Format::Q4_0, 1), decoded(Format::Q4_0, 2));
    }

    #[test]
    fn what_lies_beyond_the_end_is_refused() {
        for source in
            [Box::new(RandomWeights::new(Format::Q4_0, 1, 180)) as Box<dyn ByteSource>, Box::new(Ones::new(180))]
        {
            assert_eq!(pollster::block_on(source.read(0..180)).map(|bytes| bytes.len()), Ok(180));
            assert!(matches!(pollster::block_on(source.read(0..181)), Err(Error::Truncated { .. })));
        }
    }
}
