//! From a folder or a file to a catalog and the documents beside it.

use super::{ByteSource, Catalog, EmbeddingDocuments, Folder, GgufMetadata, gguf, quantized, safetensors};
use crate::{Error, Result};

/// The longest configuration, index or template that is read; real ones stay under 10 MiB.
pub(super) const DOCUMENT_MAX_BYTES: u64 = 32 << 20;
/// The longest `tokenizer.json` that is read; those of 256,000 tokens take 35 MiB.
const TOKENIZER_MAX_BYTES: u64 = 128 << 20;

/// Templates for a purpose, which lie in a folder of their own beside `chat_template.jinja`. A folder cannot be listed
/// here, so these are the names that there are: for conversations with tools, with documents, and for all others.
pub const TEMPLATE_FILES: [&str; 3] = [
    "additional_chat_templates/default.jinja",
    "additional_chat_templates/rag.jinja",
    "additional_chat_templates/tool_use.jinja",
];

/// What a model's files say besides its weights.
#[derive(Clone, Debug, PartialEq)]
pub enum Documents {
    /// A folder in Hugging Face layout: JSON texts, as they are.
    HuggingFace {
        /// `config.json`.
        config: String,
        /// `tokenizer.json`, if there is one.
        tokenizer: Option<String>,
        /// SentencePiece's `tokenizer.model`, which is read only where there is no `tokenizer.json`.
        tokenizer_model: Option<Vec<u8>>,
        /// `tokenizer_config.json`, if there is one.
        tokenizer_config: Option<String>,
        /// `generation_config.json`, if there is one.
        generation_config: Option<String>,
        /// `special_tokens_map.json`, if there is one.
        special_tokens_map: Option<String>,
        /// `chat_template.jinja`, if there is one.
        chat_template: Option<String>,
        /// Names and texts of the templates in [`TEMPLATE_FILES`] that there are.
        more_templates: Vec<(String, String)>,
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
#[derive(Clone)]
pub struct OpenedModel {
    /// Where the tensors are.
    pub catalog: Catalog,
    /// What else is known.
    pub documents: Documents,
    /// What is said about vectors of texts.
    pub embedding: EmbeddingDocuments,
}

/// Opens a model. `file` names a `.gguf` file within the folder, or any part of a split one; without it the folder is
/// taken to be in Hugging Face layout (`model.safetensors`, or `model.safetensors.index.json` and its shards).
pub async fn open_model(folder: &dyn Folder, file: Option<&str>) -> Result<OpenedModel> {
    let opened = survey_model(folder, file).await?;
    opened.catalog.check_supported()?;
    Ok(opened)
}

/// Opens a model to look at it: tensors whose format is not known are listed in [`Catalog::unsupported`].
pub async fn survey_model(folder: &dyn Folder, file: Option<&str>) -> Result<OpenedModel> {
    match file {
        Some(file) => open_gguf(folder, file).await,
        None => open_hugging_face(folder).await,
    }
}

/// A GGUF file, or all parts of one, which says everything itself.
async fn open_gguf(folder: &dyn Folder, file: &str) -> Result<OpenedModel> {
    let (catalog, metadata) = gguf::read_gguf(folder, file).await?;
    let documents = Documents::Gguf {
        metadata,
        tokenizer: find_text(folder, "tokenizer.json", TOKENIZER_MAX_BYTES).await?,
        tokenizer_config: find_text(folder, "tokenizer_config.json", DOCUMENT_MAX_BYTES).await?,
    };
    Ok(OpenedModel { catalog, documents, embedding: EmbeddingDocuments::default() })
}

/// A folder of documents and weights. The documents come first: they are small, and the likeliest to be missing.
async fn open_hugging_face(folder: &dyn Folder) -> Result<OpenedModel> {
    let required = |text: Option<String>, file: &str| text.ok_or_else(|| Error::MissingFile { file: file.to_owned() });
    let config = required(find_text(folder, "config.json", DOCUMENT_MAX_BYTES).await?, "config.json")?;
    let tokenizer = find_text(folder, "tokenizer.json", TOKENIZER_MAX_BYTES).await?;
    let tokenizer_model = match (&tokenizer, folder.open("tokenizer.model").await?) {
        (None, Some(source)) => Some(read_bytes(&*source, DOCUMENT_MAX_BYTES).await?),
        (None, None) => return Err(Error::MissingFile { file: "tokenizer.json".to_owned() }),
        (Some(_), _) => None,
    };
    let documents = Documents::HuggingFace {
        config,
        tokenizer,
        tokenizer_model,
        tokenizer_config: find_text(folder, "tokenizer_config.json", DOCUMENT_MAX_BYTES).await?,
        generation_config: find_text(folder, "generation_config.json", DOCUMENT_MAX_BYTES).await?,
        special_tokens_map: find_text(folder, "special_tokens_map.json", DOCUMENT_MAX_BYTES).await?,
        chat_template: find_text(folder, "chat_template.jinja", DOCUMENT_MAX_BYTES).await?,
        more_templates: find_templates(folder).await?,
    };
    let mut catalog = if let Some(source) = folder.open("model.safetensors").await? {
        safetensors::read_single(source).await?
    } else if let Some(index) = folder.open("model.safetensors.index.json").await? {
        safetensors::read_sharded(folder, index).await?
    } else {
        return Err(no_weights(folder).await);
    };
    if let Documents::HuggingFace { config, .. } = &documents {
        quantized::apply(config, &mut catalog)?;
    }
    let embedding = EmbeddingDocuments::find(folder).await?;
    Ok(OpenedModel { catalog, documents, embedding })
}

/// What is said of a folder without weights that can be read. A pickle is a program, and only Python runs it.
async fn no_weights(folder: &dyn Folder) -> Error {
    let mut file = "model.safetensors".to_owned();
    for pickle in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        if matches!(folder.open(pickle).await, Ok(Some(_))) {
            file = format!("{file} (there is {pickle}, whose pickled weights are not read)");
            break;
        }
    }
    Error::MissingFile { file }
}

/// The templates of [`TEMPLATE_FILES`], each under its file's name.
async fn find_templates(folder: &dyn Folder) -> Result<Vec<(String, String)>> {
    let mut templates = Vec::new();
    for file in TEMPLATE_FILES {
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".jinja");
        if let Some(source) = find_text(folder, file, DOCUMENT_MAX_BYTES).await? {
            templates.push((name.to_owned(), source));
        }
    }
    Ok(templates)
}

/// A document's text, if the folder has it.
pub(super) async fn find_text(folder: &dyn Folder, name: &str, max_bytes: u64) -> Result<Option<String>> {
    match folder.open(name).await? {
        None => Ok(None),
        Some(source) => read_text(&*source, max_bytes).await.map(Some),
    }
}

/// A whole document as text.
pub(super) async fn read_text(source: &dyn ByteSource, max_bytes: u64) -> Result<String> {
    String::from_utf8(read_bytes(source, max_bytes).await?)
        .map_err(|error| Error::malformed(source.name(), format_args!("it is not UTF-8 text: {}", error.utf8_error())))
}

/// A whole document.
async fn read_bytes(source: &dyn ByteSource, max_bytes: u64) -> Result<Vec<u8>> {
    let len_bytes = source.len_bytes();
    if len_bytes > max_bytes {
        let reason = format!("it has {len_bytes} bytes; at most {max_bytes} are read");
        return Err(Error::malformed(source.name(), reason));
    }
    source.read(0..len_bytes).await
}
