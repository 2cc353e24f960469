//! What the sentence-transformers library writes beside an encoder's files.

use super::{Folder, open::find_text};
use crate::Result;

/// The only document of a model that lies in a folder of its own, as its publisher lays it there.
pub const POOLING_FILE: &str = "1_Pooling/config.json";

/// Longer ones are not believed: real ones stay under 10 KiB.
const DOCUMENT_MAX_BYTES: u64 = 1 << 20;

/// JSON texts, as they are; all of them may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddingDocuments {
    /// `modules.json`: what follows the encoder.
    pub modules: Option<String>,
    /// `1_Pooling/config.json`: how the vectors of tokens become one.
    pub pooling: Option<String>,
    /// `sentence_bert_config.json`: the most tokens.
    pub sentence: Option<String>,
    /// `config_sentence_transformers.json`: words before a question or a passage.
    pub prompts: Option<String>,
}

impl EmbeddingDocuments {
    /// Looks for all of them, if the first is there: a decoder's folder is not asked for the others.
    pub(super) async fn find(folder: &dyn Folder) -> Result<Self> {
        let text = async |name| find_text(folder, name, DOCUMENT_MAX_BYTES).await;
        let Some(modules) = text("modules.json").await? else { return Ok(Self::default()) };
        Ok(Self {
            modules: Some(modules),
            pooling: text(POOLING_FILE).await?,
            sentence: text("sentence_bert_config.json").await?,
            prompts: text("config_sentence_transformers.json").await?,
        })
    }
}
