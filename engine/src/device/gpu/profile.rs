//! What the GPU tells about itself: see [`crate::device::Device`]. To have its time a dispatch needs a pass of its own,
//! which disturbs what is measured: so this is another run than the one whose speed is told.

use super::{GpuDevice, readback};
use crate::{
    Result,
    device::{Ids, Timed, Work},
    kernel::{Step, shader::Kernel},
};

/// Timestamps that one query set holds at most (WebGPU 23.4): two for each dispatch.
const DISPATCHES_A_SET: usize = 2048;

/// Beginnings and ends of passes, in order.
struct Clock {
    sets: Vec<wgpu::QuerySet>,
    kernels: Vec<Kernel>,
}

impl Clock {
    fn new(device: &wgpu::Device, kernels: Vec<Kernel>) -> Self {
        let sets = kernels.chunks(DISPATCHES_A_SET).map(|chunk| {
            device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("times"),
                ty: wgpu::QueryType::Timestamp,
                count: (chunk.len() * 2) as u32,
            })
        });
        Self { sets: sets.collect(), kernels }
    }

    /// What a dispatch's pass writes.
    fn writes(&self, dispatch: usize) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let at = (dispatch % DISPATCHES_A_SET * 2) as u32;
        self.sets.get(dispatch / DISPATCHES_A_SET).map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(at),
            end_of_pass_write_index: Some(at + 1),
        })
    }

    /// Waits for the times of what has been queued.
    async fn read(self, device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Vec<Timed>> {
        let period_ms = f64::from(queue.get_timestamp_period()) / 1e6;
        let mut timed = Vec::with_capacity(self.kernels.len());
        for (set, kernels) in self.sets.iter().zip(self.kernels.chunks(DISPATCHES_A_SET)) {
            let count = (kernels.len() * 2) as u32;
            let resolved = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("times"),
                size: u64::from(count) * 8,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("times") });
            encoder.resolve_query_set(set, 0..count, &resolved, 0);
            queue.submit([encoder.finish()]);
            let words = readback::read_words(device, queue, &resolved, 0..u64::from(count) * 2).await?;
            for (kernel, times) in kernels.iter().zip(words.as_chunks::<4>().0) {
                let [begin, end] = [[times[0], times[1]], [times[2], times[3]]]
                    .map(|[low, high]| u64::from(high) << 32 | u64::from(low));
                // A clock that is set anew between the two tells nothing.
                timed.push(Timed { kernel: *kernel, ms: end.saturating_sub(begin) as f64 * period_ms });
            }
        }
        Ok(timed)
    }
}

impl GpuDevice {
    /// See [`crate::device::Device::allocated_bytes`].
    pub fn allocated_bytes(&self) -> u64 {
        self.loaded.as_ref().map_or(0, |loaded| loaded.buffers.allocated_bytes() + loaded.replay.allocated_bytes())
    }

    /// See [`crate::device::Device::batch_bytes`].
    pub fn batch_bytes(&self) -> u64 {
        self.loaded.as_ref().map_or(0, |loaded| loaded.replay.batch_bytes())
    }

    /// See [`crate::device::Device::time_step`].
    pub async fn time_step(&mut self, plan: usize, step: Step, ids: &[u32]) -> Result<Option<Vec<Timed>>> {
        self.faults.check()?;
        if !self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        self.check_none_streams()?;
        let loaded = self.loaded.as_ref().ok_or(crate::Error::NotLoaded)?;
        let clock = Clock::new(&self.device, loaded.replay.kernels(plan, step));
        let label = Some("timed step");
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        let work = Work { plans: &[plan], step, ids: Ids::Given(ids), fetch: None };
        loaded.replay.record_apart(&self.queue, &mut encoder, &work, &|dispatch| clock.writes(dispatch))?;
        self.queue.submit([encoder.finish()]);
        let timed = clock.read(&self.device, &self.queue).await;
        self.faults.check()?;
        timed.map(Some)
    }
}
