//! How fast the GPU's memory is: a copy by the driver, and a shader that only reads.

use super::{GpuDevice, pipelines::Compiled, readback};
use crate::{
    Error, Result,
    device::{Traffic, cpu::pattern},
    kernel::{ReadSum, Reading, shader::Kernel},
};

/// What is written from the host; the rest of the probe is copied from it.
const SEED_BYTES: u64 = 1 << 20;

/// Two buffers, and what reads one of them.
pub struct MemoryProbe {
    device: wgpu::Device,
    queue: wgpu::Queue,
    from: wgpu::Buffer,
    to: wgpu::Buffer,
    sums: wgpu::Buffer,
    read: Compiled,
    bindings: wgpu::BindGroup,
    groups: [u32; 3],
}

impl GpuDevice {
    /// See [`crate::device::Device::memory_probe`].
    pub async fn memory_probe(&mut self, bytes: u64) -> Result<MemoryProbe> {
        self.faults.check()?;
        let most = self.max_binding_bytes.min(u64::from(u32::MAX)) / SEED_BYTES * SEED_BYTES;
        let mut bytes = bytes.next_multiple_of(SEED_BYTES).min(most).max(SEED_BYTES);
        loop {
            let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            let probe = self.make_probe(bytes);
            let refused = memory.pop().await;
            self.faults.check()?;
            match refused {
                None => return Ok(probe),
                Some(_) if bytes / 2 >= SEED_BYTES => bytes = (bytes / 2).next_multiple_of(SEED_BYTES),
                Some(_) => {
                    let what = format!("a measurement of memory on {}", self.name());
                    return Err(Error::OutOfMemory { what, requested_bytes: bytes * 2, available_bytes: 0 });
                }
            }
        }
    }

    fn make_probe(&mut self, bytes: u64) -> MemoryProbe {
        let buffer = |label, size, usage| {
            let usage = usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let storage = wgpu::BufferUsages::STORAGE;
        let (from, to) = (buffer("probe from", bytes, storage), buffer("probe to", bytes, storage));
        let kernel = ReadSum::new((bytes / 16) as u32);
        let groups = kernel.groups();
        let sums = buffer("probe sums", u64::from(groups[0]) * 4, storage);
        let step = buffer("probe step", 16, wgpu::BufferUsages::UNIFORM);
        let params = buffer("probe params", 16, wgpu::BufferUsages::UNIFORM);
        let seed: Vec<u32> = (0..(SEED_BYTES / 4) as u32).map(pattern).collect();
        self.queue.write_buffer(&params, 0, bytemuck::bytes_of(&kernel.params));
        self.queue.write_buffer(&from, 0, bytemuck::cast_slice(&seed));
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("probe") });
        // A buffer cannot be copied onto itself, so the seed goes there and back.
        for at in (0..bytes).step_by(SEED_BYTES as usize) {
            encoder.copy_buffer_to_buffer(&from, 0, &to, at, SEED_BYTES);
        }
        encoder.copy_buffer_to_buffer(&to, 0, &from, 0, bytes);
        self.queue.submit([encoder.finish()]);
        let read = {
            let variant = self.pipelines.variant(Kernel::ReadSum, None, Reading::Narrow);
            self.pipelines.get(&self.device, variant, &Vec::new())
        };
        let resources = [&step, &params, &from, &sums].map(wgpu::Buffer::as_entire_binding);
        let entries: Vec<_> = resources
            .into_iter()
            .zip(0u32..)
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("probe"),
            layout: &read.layout,
            entries: &entries,
        });
        MemoryProbe { device: self.device.clone(), queue: self.queue.clone(), from, to, sums, read, bindings, groups }
    }
}

impl MemoryProbe {
    /// Bytes of each buffer.
    pub fn bytes(&self) -> u64 {
        self.from.size()
    }

    /// See [`crate::device::MemoryProbe::run`].
    pub async fn run(&mut self, traffic: Traffic, rounds: u32) -> Result<Option<u32>> {
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("probe") });
        for _ in 0..rounds {
            match traffic {
                Traffic::Copy => encoder.copy_buffer_to_buffer(&self.from, 0, &self.to, 0, self.from.size()),
                Traffic::Read => {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    let [x, y, z] = self.groups;
                    pass.set_pipeline(&self.read.pipeline);
                    pass.set_bind_group(0, &self.bindings, &[]);
                    pass.dispatch_workgroups(x, y, z);
                }
            }
        }
        self.queue.submit([encoder.finish()]);
        // What has been read back has been done.
        let count = if traffic == Traffic::Read { u64::from(self.groups[0]) } else { 1 };
        let buffer = if traffic == Traffic::Read { &self.sums } else { &self.to };
        let words = readback::read_words(&self.device, &self.queue, buffer, 0..count).await?;
        Ok((traffic == Traffic::Read).then(|| words.into_iter().fold(0, u32::wrapping_add)))
    }
}
