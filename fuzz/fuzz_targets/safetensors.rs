//! Folders in Hugging Face layout. The first byte says which of the files is hostile.
#![no_main]

use hearth_engine::file::MemoryFolder;
use libfuzzer_sys::fuzz_target;

const CONFIG: &[u8] = include_bytes!("../../tests/fixtures/tiny-llama/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../tests/fixtures/tiny-llama/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../tests/fixtures/tiny-llama/model.safetensors");
const FIRST: &[u8] = include_bytes!("../../tests/fixtures/tiny-llama-sharded/model-00001-of-00002.safetensors");
const SECOND: &[u8] = include_bytes!("../../tests/fixtures/tiny-llama-sharded/model-00002-of-00002.safetensors");

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let folder = MemoryFolder::new("fuzz").with("tokenizer.json", TOKENIZER);
    let folder = match which % 4 {
        0 => folder.with("config.json", CONFIG).with("model.safetensors", data),
        1 => folder.with("config.json", data).with("model.safetensors", WEIGHTS),
        2 => folder
            .with("config.json", CONFIG)
            .with("model.safetensors.index.json", data)
            .with("model-00001-of-00002.safetensors", FIRST)
            .with("model-00002-of-00002.safetensors", SECOND),
        _ => folder.with("config.json", CONFIG).with("generation_config.json", data).with("model.safetensors", WEIGHTS),
    };
    hearth_fuzz::open(&folder, None);
});
