//! The quantizer's encoder on a GPU: targets up, rings down.

use super::{GpuDevice, fault::Faults, pipelines::Compiled, readback};
use crate::{
    Error, Result,
    kernel::{EncodeTiles, Reading, WINDOW_BITS, shader::Kernel},
    quant::trellis::TILE_WEIGHTS,
};

/// Tiles of one dispatch: what keeps a large GPU busy, and 64 MiB of choices at two bits.
const TILES_MAX: u32 = 256;

/// Encodes tiles for one code.
pub struct TileEncoder {
    device: wgpu::Device,
    queue: wgpu::Queue,
    faults: Faults,
    bits: u32,
    seam: u32,
    params: wgpu::Buffer,
    targets: wgpu::Buffer,
    rings: wgpu::Buffer,
    bindings: wgpu::BindGroup,
    compiled: Compiled,
}

impl GpuDevice {
    /// An encoder for so many bits a weight, 2 to 6, and what the 4096 windows of 12 bits stand for; with so many
    /// weights on each side of the seam, at most 128.
    pub async fn tile_encoder(&mut self, bits: u32, levels: &[u16], seam: u32) -> Result<TileEncoder> {
        self.faults.check()?;
        if !(2..=6).contains(&bits) || levels.len() != 1 << WINDOW_BITS || !(1..=128).contains(&seam) {
            let reason = format_args!("{bits} bits, {} windows and {seam} weights at the seam do not go", levels.len());
            return Err(Error::invalid("the encoder on a GPU", reason));
        }
        let largest = EncodeTiles::new(TILES_MAX, bits, seam);
        let wanted_bytes = largest.choice_words() as u64 * 4;
        if wanted_bytes > self.max_binding_bytes {
            let what = format!("the encoder on {}", self.name());
            return Err(Error::OutOfMemory {
                what,
                requested_bytes: wanted_bytes,
                available_bytes: self.max_binding_bytes,
            });
        }
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let encoder = self.make_encoder(&largest, levels);
        let refused = memory.pop().await;
        self.faults.check()?;
        match refused {
            None => Ok(encoder),
            Some(_) => {
                let what = format!("the encoder on {}", self.name());
                Err(Error::OutOfMemory { what, requested_bytes: wanted_bytes, available_bytes: 0 })
            }
        }
    }

    fn make_encoder(&mut self, largest: &EncodeTiles, levels: &[u16]) -> TileEncoder {
        let buffer = |label, words: usize, usage| {
            let usage = usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            let size = words as u64 * 4;
            let label = Some(label);
            self.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        let (storage, uniform) = (wgpu::BufferUsages::STORAGE, wgpu::BufferUsages::UNIFORM);
        let step = buffer("encoder step", 4, uniform);
        let params = buffer("encoder params", 4, uniform);
        let targets = buffer("encoder targets", largest.target_words(), storage);
        let windows = buffer("encoder levels", levels.len() / 2, storage);
        let choices = buffer("encoder choices", largest.choice_words(), storage);
        let rings = buffer("encoder rings", largest.ring_words(), storage);
        self.queue.write_buffer(&windows, 0, &pairs(levels));
        let variant = self.pipelines.variant(Kernel::EncodeTiles, None, Reading::Narrow);
        let compiled = self.pipelines.get(&self.device, variant, &Vec::new());
        let resources = [&step, &params, &targets, &windows, &choices, &rings].map(wgpu::Buffer::as_entire_binding);
        let entries: Vec<_> = resources
            .into_iter()
            .zip(0u32..)
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("encoder"),
            layout: &compiled.layout,
            entries: &entries,
        });
        let (bits, seam) = (largest.params.bits, largest.params.seam);
        let (device, queue, faults) = (self.device.clone(), self.queue.clone(), self.faults.clone());
        TileEncoder { device, queue, faults, bits, seam, params, targets, rings, bindings, compiled }
    }
}

impl TileEncoder {
    /// The rings of tiles of 256 targets each, `32 bits` bytes a tile, one behind the other.
    pub async fn encode(&mut self, targets: &[u16]) -> Result<Vec<u8>> {
        if !targets.len().is_multiple_of(TILE_WEIGHTS) {
            let reason = format_args!("{} are no whole tiles of {TILE_WEIGHTS}", targets.len());
            return Err(Error::invalid("the targets", reason));
        }
        let mut rings = Vec::with_capacity(targets.len() * self.bits as usize / 8);
        for targets in targets.chunks(TILES_MAX as usize * TILE_WEIGHTS) {
            let kernel = EncodeTiles::new((targets.len() / TILE_WEIGHTS) as u32, self.bits, self.seam);
            self.queue.write_buffer(&self.params, 0, bytemuck::bytes_of(&kernel.params));
            self.queue.write_buffer(&self.targets, 0, &pairs(targets));
            let label = Some("encode tiles");
            let mut commands = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
            {
                let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                let [x, y, z] = kernel.groups();
                pass.set_pipeline(&self.compiled.pipeline);
                pass.set_bind_group(0, &self.bindings, &[]);
                pass.dispatch_workgroups(x, y, z);
            }
            self.queue.submit([commands.finish()]);
            let words =
                readback::read_words(&self.device, &self.queue, &self.rings, 0..kernel.ring_words() as u64).await?;
            self.faults.check()?;
            rings.extend(words.into_iter().flat_map(u32::to_le_bytes));
        }
        Ok(rings)
    }
}

/// Two numbers in a word, the first in its lower half, on every machine.
fn pairs(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
