//! `--kv-cache`.

use clap::ValueEnum;
use hearth_engine::tensor::KvFormat;

/// How keys and values are cached.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KvCache {
    /// 4 bits and a scale for each 32 numbers, which are rotated before
    Int4,
    /// 8 bits and a scale for each 32 numbers
    Int8,
    /// As they are computed
    F32,
}

impl From<KvCache> for KvFormat {
    fn from(format: KvCache) -> Self {
        match format {
            KvCache::Int4 => Self::Int4,
            KvCache::Int8 => Self::Int8,
            KvCache::F32 => Self::F32,
        }
    }
}
