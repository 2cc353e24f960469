//! Compiled shaders from one start to the next. A driver gives them out as bytes and takes them in again; where they
//! are kept is the host's affair. Only Vulkan does so, and many drivers keep their own besides.

use std::sync::Arc;

use super::GpuDevice;
use crate::device::Workers;

/// The first bytes of what is kept.
const MAGIC: &[u8; 8] = b"hearthP1";
/// The magic, a checksum of the name, and one of the rest.
const HEADER_BYTES: usize = 24;

impl GpuDevice {
    /// Has shaders compiled by these threads, several at once.
    pub fn compile_with(&mut self, workers: Arc<dyn Workers>) {
        self.pipelines.workers = Some(workers);
    }

    /// Under which name this adapter's compiled shaders are kept: another driver or engine has another. None if the
    /// driver gives nothing out.
    pub fn pipelines_name(&self) -> Option<String> {
        if !self.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let info = self.device.adapter_info();
        let key = wgpu::util::pipeline_cache_key(&info)?;
        let driver = checksum([info.driver.as_bytes(), info.driver_info.as_bytes()].concat().as_slice());
        Some(format!("{key}_{driver:016x}_{}", env!("CARGO_PKG_VERSION")))
    }

    /// Takes in what [`Self::pipelines_to_keep`] gave under the same name, before anything is compiled. What is damaged
    /// or from elsewhere is passed over. True if it was of use.
    pub fn take_pipelines(&mut self, kept: Option<&[u8]>) -> bool {
        let Some(name) = self.pipelines_name() else { return false };
        let data = kept.and_then(|kept| unseal(&name, kept));
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data, fallback: true };
        // SAFETY: the bytes are those that this adapter and this driver gave out before: their name says so, and their
        // checksum says that nothing has changed since. wgpu compares its own header on top of that.
        self.pipelines.cache = Some(unsafe { self.device.create_pipeline_cache(&descriptor) });
        data.is_some()
    }

    /// What to keep, after everything has been compiled.
    pub fn pipelines_to_keep(&self) -> Option<(String, Vec<u8>)> {
        let name = self.pipelines_name()?;
        let data = self.pipelines.cache.as_ref()?.get_data()?;
        let sealed = seal(&name, &data);
        Some((name, sealed))
    }
}

fn seal(name: &str, data: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &checksum(name.as_bytes()).to_le_bytes(), &checksum(data).to_le_bytes(), data].concat()
}

fn unseal<'a>(name: &str, kept: &'a [u8]) -> Option<&'a [u8]> {
    let (header, data) = kept.split_at_checked(HEADER_BYTES)?;
    (header == &seal(name, data)[..HEADER_BYTES]).then_some(data)
}

/// FNV-1a over words of 8 bytes (Fowler, Noll and Vo): against damage, not against malice; whoever can write where this
/// is kept can write the program too.
fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    let rest = rest.iter().map(|byte| u64::from(*byte));
    for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain(rest) {
        sum = (sum ^ word).wrapping_mul(0x0100_0000_01b3);
        sum ^= sum >> 29;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_only_whole_and_under_its_name() {
        let data: Vec<u8> = (0..1003u32).map(|byte| (byte * 7) as u8).collect();
        let kept = seal("one", &data);
        assert_eq!(unseal("one", &kept), Some(&data[..]));
        assert_eq!(unseal("two", &kept), None);
        assert_eq!(unseal("one", &kept[..kept.len() - 1]), None);
        assert_eq!(unseal("one", &[]), None);
        for at in [0, 9, 17, HEADER_BYTES, 500, kept.len() - 1] {
            let mut damaged = kept.clone();
            damaged[at] ^= 1;
            assert_eq!(unseal("one", &damaged), None, "byte {at}");
        }
        assert_eq!(unseal("one", &seal("one", &[])), Some(&[][..]));
    }
}
