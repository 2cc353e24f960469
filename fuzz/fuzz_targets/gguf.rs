//! GGUF files: header, metadata, tokenizer, chat template and tensors in one.
#![no_main]

use hearth_engine::file::MemoryFolder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    hearth_fuzz::open(&MemoryFolder::new("fuzz").with("model.gguf", data), Some("model.gguf"));
});
