//! Folders in Hugging Face layout. The first byte says which of the files is hostile; or both the configuration and the
//! weights are, as those of a quantised model must fit each other.
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
    let folder = match which % 5 {
        0 => folder.with("config.json", CONFIG).with("model.safetensors", data),
        1 => folder.with("config.json", data).with("model.safetensors", WEIGHTS),
        2 => folder
            .with("config.json", CONFIG)
            .with("model.safetensors.index.json", data)
            .with("model-00001-of-00002.safetensors", FIRST)
            .with("model-00002-of-00002.safetensors", SECOND),
        3 => folder.with("config.json", CONFIG).with("generation_config.json", data).with("model.safetensors", WEIGHTS),
        _ => {
            let Some((length, data)) = data.split_first_chunk() else { return };
            let Some((config, weights)) = data.split_at_checked(u16::from_le_bytes(*length).into()) else { return };
            folder.with("config.json", config).with("model.safetensors", weights)
        }
    };
    hearth_fuzz::open(&folder, None);
});
