//! `tokenizer.json`.
#![no_main]

use hearth_engine::text::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    if let Ok(tokenizer) = Tokenizer::from_json(data) {
        hearth_fuzz::exercise(&tokenizer);
    }
});
