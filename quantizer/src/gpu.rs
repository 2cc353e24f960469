//! Tiles encoded on a GPU.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, PoisonError},
};

use hearth_engine::{
    Result,
    device::{GpuDevice, TileEncoder},
    kernel::WINDOW_BITS,
    quant::trellis::Code,
};

use crate::trellis::{EncodesTiles, Trellis};

/// A GPU that encodes tiles whose windows have 12 bits. When it fails, or is asked for others, it says so by giving
/// nothing, and whoever asked does it himself.
pub struct GpuEncoder(Mutex<Inner>);

struct Inner {
    device: GpuDevice,
    /// By bits, code, and weights at the seam.
    encoders: HashMap<(u32, Code, usize), TileEncoder>,
    /// What it failed with.
    fault: Option<hearth_engine::Error>,
}

impl GpuEncoder {
    /// On a device of its own: one with a program on it may be used for that at the same time.
    pub fn new(device: GpuDevice) -> Self {
        Self(Mutex::new(Inner { device, encoders: HashMap::new(), fault: None }))
    }

    /// Why it stopped, if it did.
    pub fn fault(&self) -> Option<hearth_engine::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }
}

impl EncodesTiles for GpuEncoder {
    fn knows(&self, trellis: &Trellis) -> bool {
        trellis.code().window_bits() == WINDOW_BITS && self.fault().is_none()
    }

    fn encode(&self, trellis: &Trellis, targets: &[u16]) -> Option<Vec<u8>> {
        if !self.knows(trellis) {
            return None;
        }
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = inner.encode(trellis, targets);
        found.map_err(|fault| inner.fault = Some(fault)).ok()
    }
}

impl Inner {
    fn encode(&mut self, trellis: &Trellis, targets: &[u16]) -> Result<Vec<u8>> {
        let (bits, seam) = (trellis.bits(), trellis.seam_weights());
        let encoder = match self.encoders.entry((bits, trellis.code(), seam)) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => {
                let making = self.device.tile_encoder(bits, trellis.levels(), seam as u32);
                place.insert(pollster::block_on(making)?)
            }
        };
        pollster::block_on(encoder.encode(targets))
    }
}
