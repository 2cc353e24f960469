//! `tokenizer.model`, SentencePiece's own file.
#![no_main]

use hearth_engine::{
    file::{MemoryFolder, open_model},
    text::Tokenizer,
};
use libfuzzer_sys::fuzz_target;

/// A file of weights without a tensor: opening it costs nothing.
const NO_WEIGHTS: &[u8] = b"\x02\0\0\0\0\0\0\0{}";

fuzz_target!(|data: &[u8]| {
    let folder = MemoryFolder::new("fuzz")
        .with("config.json", b"{}")
        .with("model.safetensors", NO_WEIGHTS)
        .with("tokenizer.model", data);
    let opened = pollster::block_on(open_model(&folder, None)).expect("the folder around the tokenizer is whole");
    if let Ok(tokenizer) = Tokenizer::from_documents(&opened.documents) {
        hearth_fuzz::exercise(&tokenizer);
    }
});
