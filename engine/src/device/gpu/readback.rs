//! Numbers back from the GPU. A copy is queued with the work that computes them and waited for later, so that the GPU
//! has the next steps to do while the host looks at the last one.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::fault::Faults;
use crate::{Error, Result};

/// Free buffers that the host can read: making one takes longer than copying a few numbers.
#[derive(Clone, Default)]
pub struct Staging(Arc<Mutex<Vec<wgpu::Buffer>>>);

/// Free buffers that are kept at most.
const STAGING_MAX: usize = 8;

impl Staging {
    /// A buffer of exactly so many bytes.
    fn take(&self, device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = free.iter().position(|buffer| buffer.size() == bytes) {
            return free.swap_remove(index);
        }
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("read-back"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    fn give(&self, buffer: wgpu::Buffer) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() == STAGING_MAX {
            free.remove(0);
        }
        free.push(buffer);
    }

    /// Copies elements of a buffer of F32, after what the encoder has recorded. None if there are none.
    pub fn copy(
        &self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        elements: Range<u64>,
    ) -> Option<wgpu::Buffer> {
        let bytes = elements.end.saturating_sub(elements.start) * 4;
        if bytes == 0 {
            return None;
        }
        let staging = self.take(device, bytes);
        encoder.copy_buffer_to_buffer(buffer, elements.start * 4, &staging, 0, bytes);
        Some(staging)
    }

    /// What comes when a submission with such a copy is done.
    pub fn fetch(
        &self,
        device: &wgpu::Device,
        faults: &Faults,
        staging: Option<wgpu::Buffer>,
        submission: wgpu::SubmissionIndex,
    ) -> GpuFetch {
        let mapping = staging.map(|buffer| {
            let (sender, receiver) = futures_channel::oneshot::channel();
            buffer.map_async(wgpu::MapMode::Read, .., move |result| {
                // Nobody waits any more if the receiver is gone, and then the result does not matter.
                let _ = sender.send(result);
            });
            (buffer, receiver)
        });
        GpuFetch { device: device.clone(), faults: faults.clone(), staging: self.clone(), mapping, submission }
    }
}

type Mapped = futures_channel::oneshot::Receiver<std::result::Result<(), wgpu::BufferAsyncError>>;

/// Numbers on their way.
pub struct GpuFetch {
    device: wgpu::Device,
    faults: Faults,
    staging: Staging,
    mapping: Option<(wgpu::Buffer, Mapped)>,
    submission: wgpu::SubmissionIndex,
}

impl GpuFetch {
    /// Waits for the work that computes them, and for nothing that was queued behind it.
    pub async fn wait(self) -> Result<Vec<f32>> {
        Ok(self.words().await?.into_iter().map(f32::from_bits).collect())
    }

    /// The same, as they lie in memory.
    async fn words(self) -> Result<Vec<u32>> {
        self.faults.check()?;
        let Some((buffer, receiver)) = self.mapping else { return Ok(Vec::new()) };
        if cfg!(not(target_arch = "wasm32")) {
            // A failure to wait shows in the mapping that follows, and as a fault.
            let wanted = wgpu::PollType::Wait { submission_index: Some(self.submission), timeout: None };
            let _ = self.device.poll(wanted);
        }
        let lost = |reason: String| Error::DeviceLost { reason };
        let mapped = match receiver.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(lost(error.to_string())),
            Err(_) => Err(lost("a read-back was dropped".into())),
        };
        // A lost device explains a failed read better than the read itself does.
        self.faults.check()?;
        mapped?;
        let view = buffer.get_mapped_range(..).map_err(|error| lost(error.to_string()))?;
        let words = view.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        drop(view);
        buffer.unmap();
        self.staging.give(buffer);
        Ok(words)
    }
}

/// Copies words of a buffer to the host, after all work queued so far.
pub async fn read_words(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    buffer: &wgpu::Buffer,
    words: Range<u64>,
) -> Result<Vec<u32>> {
    let staging = Staging::default();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read-back") });
    let copy = staging.copy(device, &mut encoder, buffer, words);
    let submission = queue.submit([encoder.finish()]);
    staging.fetch(device, &Faults::default(), copy, submission).words().await
}

/// Waits until the GPU has done what was queued. In a browser the event loop does that, and this returns at once.
pub fn wait(device: &wgpu::Device) {
    if cfg!(not(target_arch = "wasm32")) {
        // A failure to wait shows in the read that follows, and as a fault.
        let _ = device.poll(wgpu::PollType::wait_indefinitely());
    }
}

/// Waits until the GPU has done some of what was queued. In a browser the event loop does that.
pub fn wait_for(device: &wgpu::Device, submission: wgpu::SubmissionIndex) {
    if cfg!(not(target_arch = "wasm32")) {
        let _ = device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
    }
}
