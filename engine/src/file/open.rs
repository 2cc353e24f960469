//! From a folder or a file to a catalog and the documents beside it.

use super::{Catalog, Folder, GgufMetadata};
use crate::Result;

/// What a model's files say besides its weights.
pub enum Documents {
    /// A folder in Hugging Face layout: JSON texts, as they are.
    HuggingFace {
        /// `config.json`.
        config: String,
        /// `tokenizer.json`.
        tokenizer: String,
        /// `tokenizer_config.json`, if there is one.
        tokenizer_config: Option<String>,
        /// `generation_config.json`, if there is one.
        generation_config: Option<String>,
        /// `chat_template.jinja`, if there is one.
        chat_template: Option<String>,
    },
    /// A GGUF file.
    Gguf {
        /// What the file says about itself, its tokenizer and its chat template included.
        metadata: GgufMetadata,
        /// `tokenizer.json`, if one lies beside it: for a tokenizer that GGUF names but does not describe.
        tokenizer: Option<String>,
        /// `tokenizer_config.json`, if one lies beside it.
        tokenizer_config: Option<String>,
    },
}

/// A model whose headers have been read and checked; no weights yet.
pub struct OpenedModel {
    /// Where the tensors are.
    pub catalog: Catalog,
    /// What else is known.
    pub documents: Documents,
}

/// Opens a model. `file` names a `.gguf` file within the folder; without it the folder is taken to be in Hugging
/// Face layout (`model.safetensors`, or `model.safetensors.index.json` and its shards).
pub async fn open_model(folder: &dyn Folder, file: Option<&str>) -> Result<OpenedModel> {
    let _ = file;
    Err(crate::Error::MissingFile { file: folder.name().to_owned() })
}
