//! Numbers back from the GPU.

use std::ops::Range;

use crate::{Error, Result};

/// Copies elements of a buffer of F32 to the host, after all work queued so far.
pub async fn read(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    buffer: &wgpu::Buffer,
    elements: Range<u64>,
) -> Result<Vec<f32>> {
    read_as(device, queue, buffer, elements).await
}

/// The same for a buffer of words.
pub async fn read_words(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    buffer: &wgpu::Buffer,
    words: Range<u64>,
) -> Result<Vec<u32>> {
    read_as(device, queue, buffer, words).await
}

async fn read_as<T: bytemuck::Pod>(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    buffer: &wgpu::Buffer,
    elements: Range<u64>,
) -> Result<Vec<T>> {
    let bytes = (elements.end - elements.start) * 4;
    if bytes == 0 {
        return Ok(Vec::new());
    }
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read-back"),
        size: bytes,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read-back") });
    encoder.copy_buffer_to_buffer(buffer, elements.start * 4, &staging, 0, bytes);
    queue.submit([encoder.finish()]);
    let (sender, receiver) = futures_channel::oneshot::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |result| {
        // Nobody waits any more if the receiver is gone, and then the result does not matter.
        let _ = sender.send(result);
    });
    wait(device);
    let lost = |reason: String| Error::DeviceLost { reason };
    receiver.await.map_err(|_| lost("a read-back was dropped".into()))?.map_err(|error| lost(error.to_string()))?;
    let view = staging.get_mapped_range(..).map_err(|error| lost(error.to_string()))?;
    // The view's bytes need not be aligned for F32.
    let values = view.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
    drop(view);
    staging.unmap();
    Ok(values)
}

/// Waits until the GPU has done what was queued. In a browser the event loop does that, and this returns at once.
pub fn wait(device: &wgpu::Device) {
    if cfg!(not(target_arch = "wasm32")) {
        // A failure to wait shows in the read that follows, and as a fault.
        let _ = device.poll(wgpu::PollType::wait_indefinitely());
    }
}
