//! A key head's part of a cache, from which numbers come a tile at a time.

use crate::{
    device::cpu::{
        dot::padded,
        simd::{BLOCK, Simd},
    },
    kernel::KvLayout,
    tensor::KvFormat,
};

/// The rows of a head.
#[derive(Clone, Copy)]
pub struct Cached<'a> {
    layout: KvLayout,
    words: &'a [u32],
}

impl<'a> Cached<'a> {
    /// The part of the head of that number.
    #[inline(always)]
    pub fn head(layout: KvLayout, cache: &'a [f32], head: usize) -> Self {
        let words = layout.head_words() as usize;
        Self { layout, words: &bytemuck::cast_slice(cache)[head * words..][..words] }
    }

    /// The numbers of so many positions, from `start` on: where they lie, or unpacked into `memory`.
    #[inline(always)]
    pub fn tile<'b, S: Simd>(&self, simd: S, start: usize, count: usize, memory: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let (layout, row_words) = (self.layout, self.layout.row_words());
        let numbers = &self.words[start * row_words..][..count * row_words];
        if layout.format == KvFormat::F32 {
            return bytemuck::cast_slice(numbers);
        }
        memory.resize(count * layout.head_dim, 0.0);
        let scale_words = layout.scale_words();
        let scales = &self.words[layout.scales_at() + start * scale_words..][..count * scale_words];
        let rows = numbers.chunks_exact(row_words).zip(scales.chunks_exact(scale_words));
        for ((numbers, scales), out) in rows.zip(memory.chunks_exact_mut(layout.head_dim)) {
            if layout.format == KvFormat::Int8 {
                unpack::<S, 32>(simd, numbers, scales, out, S::decode_i8);
            } else {
                unpack::<S, 16>(simd, numbers, scales, out, S::decode_i4);
            }
        }
        memory
    }
}

/// A row's blocks, of so many bytes each.
#[inline(always)]
fn unpack<S: Simd, const BYTES: usize>(
    simd: S,
    numbers: &[u32],
    scales: &[u32],
    row: &mut [f32],
    decode: impl Fn(S, &[u8; BYTES]) -> S::Block,
) {
    let bytes: &[u8] = bytemuck::cast_slice(numbers);
    for (nth, (bytes, out)) in bytes.chunks(BYTES).zip(row.chunks_mut(BLOCK)).enumerate() {
        let mut block = match bytes.first_chunk() {
            Some(bytes) => decode(simd, bytes),
            None => {
                let mut whole = [0; BYTES];
                whole[..bytes.len()].copy_from_slice(bytes);
                decode(simd, &whole)
            }
        };
        let scale = simd.splat(KvLayout::scale(scales, nth));
        for vector in block.as_mut() {
            *vector = simd.mul(*vector, scale);
        }
        match out.first_chunk_mut() {
            Some(out) => simd.store(block, out),
            None => {
                let mut whole = padded(out);
                simd.store(block, &mut whole);
                out.copy_from_slice(&whole[..out.len()]);
            }
        }
    }
}
