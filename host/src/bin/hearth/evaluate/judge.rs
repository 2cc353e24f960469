//! A model that is asked how likely texts are.

use hearth_engine::{
    Error,
    decode::{Session, SessionOptions},
    device::{CpuDevice, Device, GpuDevice, GpuOptions},
    file::open_model,
    profile::choose,
    runtime::ModelLocation,
    tensor::KvFormat,
    text::{EncodeOptions, Tokenizer},
};
use hearth_host::{ModelStore, physical_cores, worker_pool};

use super::Passage;
use crate::{
    args::Global,
    output::{Output, Stop, bytes},
};

pub struct Judge {
    /// What the person calls it.
    pub name: String,
    pub session: Session,
    tokenizer: Tokenizer,
    /// Bytes of all of its tensors, as stored.
    pub weights_bytes: u64,
    /// Of the whole model.
    pub bits_per_weight: f64,
    /// Of its linear layers.
    pub linear_bits_per_weight: f64,
}

impl Judge {
    /// Loads a model with room for so many tokens. Its cache is the best there is, unless the person wants another.
    pub fn open(
        models: &ModelStore,
        name: &str,
        context_tokens: u32,
        global: &Global,
        output: &Output,
    ) -> Result<Self, Stop> {
        let kv_cache = global.kv_cache(KvFormat::F32);
        Self::open_with(models, name, (context_tokens, kv_cache), global, output)
    }

    /// The same, always with the best cache: what others are compared with.
    pub fn open_reference(
        models: &ModelStore,
        name: &str,
        context_tokens: u32,
        global: &Global,
        output: &Output,
    ) -> Result<Self, Stop> {
        Self::open_with(models, name, (context_tokens, KvFormat::F32), global, output)
    }

    fn open_with(
        models: &ModelStore,
        name: &str,
        (context_tokens, kv_cache): (u32, KvFormat),
        global: &Global,
        output: &Output,
    ) -> Result<Self, Stop> {
        let location = ModelLocation::from(models.find(name)?);
        pollster::block_on(async {
            let opened = open_model(location.folder.as_ref(), location.file.as_deref()).await?;
            let tokenizer = Tokenizer::from_documents(&opened.documents)?;
            let options = SessionOptions { context_tokens, scoring: true, kv_cache };
            let device = device(global).await?;
            let session = Session::load(device, &opened, options, &mut |progress| {
                let (done, total) = (bytes(progress.done_bytes), bytes(progress.total_bytes));
                output.progress(&format!("Loading {name} … {done} of {total}"));
                Ok(())
            })
            .await?;
            output.end_progress();
            let catalog = &opened.catalog;
            Ok(Self {
                name: name.to_owned(),
                session,
                tokenizer,
                weights_bytes: catalog.weights_bytes(),
                bits_per_weight: catalog.bits_per_weight(),
                linear_bits_per_weight: catalog.linear_bits_per_weight(),
            })
        })
    }

    /// Tokens of a text, behind what the tokenizer puts in front of every text.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, Stop> {
        Ok(self.tokenizer.encode(text, EncodeOptions { parse_special: false, add_special: true })?)
    }

    /// A text in windows, each behind what the tokenizer puts in front of every text.
    pub fn windows(&self, passage: &Passage) -> Result<Vec<Vec<u32>>, Stop> {
        let name = passage.text.display().to_string();
        let read = std::fs::read(&passage.text).map_err(|error| Stop::io(&name, &error))?;
        let text = String::from_utf8(read).map_err(|error| Error::malformed(&name, error))?;
        let front = self.ids("")?;
        let plain = EncodeOptions { parse_special: false, add_special: false };
        let mut ids = self.tokenizer.encode(&text, plain)?;
        ids.truncate(passage.tokens.map_or(ids.len(), |tokens| tokens as usize));
        if ids.len() < 2 {
            return Err(Error::invalid("the text", "is too short: it needs two tokens or more").into());
        }
        let each = (passage.window as usize).saturating_sub(front.len()).max(1);
        Ok(ids.chunks(each).map(|part| [front.as_slice(), part].concat()).collect())
    }

    /// Whether another model's tokens are this one's.
    pub fn check_alike(&self, other: &Self) -> Result<(), Stop> {
        let [own, others] = [self, other].map(|judge| judge.session.config().vocab_size);
        if own == others {
            return Ok(());
        }
        let what =
            format!("has {others} tokens, but {} has {own}: only models with the same can be compared", self.name);
        Err(Error::invalid(format!("the vocabulary of {}", other.name), what).into())
    }
}

/// As the engine would choose it.
async fn device(global: &Global) -> hearth_engine::Result<Device> {
    let adapters = match global.device {
        crate::args::Device::Cpu => Vec::new(),
        _ => GpuDevice::adapters().await,
    };
    Ok(match choose(global.device.into(), &adapters, &GpuDevice::absence())?.adapter {
        Some(adapter) => {
            Device::Gpu(GpuDevice::open(&GpuOptions { adapter: Some(adapter), ..GpuOptions::default() }).await?)
        }
        None => Device::Cpu(CpuDevice::new(worker_pool(global.threads().unwrap_or_else(physical_cores)))),
    })
}
