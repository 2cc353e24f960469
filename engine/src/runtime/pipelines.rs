//! Compiled shaders that outlive the engine, if the platform keeps them.

use super::Runtime;
use crate::device::{Device, GpuDevice};

impl Runtime {
    /// Gives a GPU what it compiled before.
    pub(super) fn give_pipelines(&self, device: &mut GpuDevice) {
        let Some(name) = device.pipelines_name() else { return };
        let kept = self.platform.kept_pipelines(&name);
        let is_used = device.take_pipelines(kept.as_deref());
        tracing::debug!(name, is_used, "compiled shaders of an earlier start");
    }

    /// Has what a GPU compiled kept.
    pub(super) fn keep_pipelines(&self, device: &Device) {
        if let Device::Gpu(device) = device
            && let Some((name, bytes)) = device.pipelines_to_keep()
        {
            self.platform.keep_pipelines(&name, &bytes);
        }
    }
}
