//! What the driver reports behind our back: a lost device, an error outside any scope.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Result};

/// The first fault that was reported, if any. Once there is one, the device is of no use.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Option<Error>>>);

impl Faults {
    /// Listens to a device.
    pub fn watch(device: &wgpu::Device) -> Self {
        let faults = Self::default();
        let lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            let message = if message.is_empty() { format!("{reason:?}") } else { message };
            lost.report(Error::DeviceLost { reason: message });
        });
        let refused = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            refused.report(match error {
                wgpu::Error::OutOfMemory { .. } => {
                    Error::OutOfMemory { what: "the GPU".into(), requested_bytes: 0, available_bytes: 0 }
                }
                other => Error::DeviceFault { reason: other.to_string() },
            });
        }));
        faults
    }

    fn report(&self, error: Error) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A lost device explains whatever was reported just before it.
        if first.is_none() || matches!(error, Error::DeviceLost { .. }) {
            tracing::warn!(%error, "the GPU reported a fault");
            *first = Some(error);
        }
    }

    /// Whether the device still works.
    pub fn check(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}
