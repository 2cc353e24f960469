//! `tokenize`: needs the tokenizer alone, so no weights are read.

use hearth_engine::{
    file::open_model,
    runtime::ModelLocation,
    text::{EncodeOptions, Tokenizer},
};
use hearth_host::ModelStore;

use crate::{
    args::{Global, Tokenize},
    chat::text_of,
    output::{Output, Stop},
};

pub fn tokenize(models: &ModelStore, args: &Tokenize, global: &Global, output: &Output) -> Result<(), Stop> {
    let text = text_of(&args.text)?;
    let location = ModelLocation::from(models.find(global.model.as_deref().unwrap_or_default())?);
    let opened = pollster::block_on(open_model(location.folder.as_ref(), location.file.as_deref()))?;
    let tokenizer = Tokenizer::from_documents(&opened.documents)?;
    let is_special = !args.no_special;
    let ids = tokenizer.encode(&text, EncodeOptions { parse_special: is_special, add_special: is_special })?;
    if output.json {
        return output.json(&serde_json::json!({ "ids": ids }));
    }
    for id in ids {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        output.line(format!("{id:>7}  {:?}", String::from_utf8_lossy(bytes)))?;
    }
    Ok(())
}
