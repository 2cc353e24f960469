//! `tokenize`: needs the tokenizer alone, so no weights are read.

use std::{
    fs::File,
    io::{BufRead, BufReader},
};

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
    let location = ModelLocation::from(models.find(global.model.as_deref().unwrap_or_default())?);
    let opened = pollster::block_on(open_model(location.folder.as_ref(), location.file.as_deref()))?;
    let tokenizer = Tokenizer::from_documents(&opened.documents)?;
    let is_special = !args.no_special;
    let options = EncodeOptions { parse_special: is_special, add_special: is_special };
    if let Some(file) = &args.file {
        return tokenize_lines(file, &tokenizer, options, output);
    }
    let ids = tokenizer.encode(&text_of(args.text.as_deref().unwrap_or_default())?, options)?;
    if output.json {
        return output.json(&serde_json::json!({ "ids": ids }));
    }
    for id in ids {
        let bytes = tokenizer.token_bytes(id).unwrap_or_default();
        output.line(format!("{id:>7}  {:?}", String::from_utf8_lossy(bytes)))?;
    }
    Ok(())
}

/// One JSON string a line, and for each a line with its ids.
fn tokenize_lines(file: &str, tokenizer: &Tokenizer, options: EncodeOptions, output: &Output) -> Result<(), Stop> {
    let lines: Box<dyn BufRead> = if file == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(|error| Stop::io(file, &error))?))
    };
    for (number, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| Stop::io(file, &error))?;
        let text: String = serde_json::from_str(&line).map_err(|error| {
            hearth_engine::Error::malformed(file, format_args!("line {} is not a JSON string: {error}", number + 1))
        })?;
        output.json(&tokenizer.encode(&text, options)?)?;
    }
    Ok(())
}
