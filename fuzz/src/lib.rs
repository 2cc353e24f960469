//! What the targets share: everything that happens to a model's files before a weight is read.

use hearth_engine::{
    device::CPU_PREFILL_TOKENS,
    file::{MemoryFolder, OpenedModel, open_model},
    memory,
    model::{Model, ModelConfig, Recording},
    tensor::KvFormat,
    text::{ChatTemplate, EncodeOptions, Tokenizer},
};

/// Text with what tokenizers stumble over: several scripts, half a surrogate's worth of joiners, runs of spaces.
const TEXT: &str = "The quick  brown\tfox\u{200d} — naïve 中文 🙂‍↔️\r\n\u{0}x 12345<|endoftext|></s>";

/// Opens a folder and goes on as far as its contents allow. Errors are what is expected; panics, hangs and memory out
/// of proportion are what libFuzzer looks for.
pub fn open(folder: &MemoryFolder, file: Option<&str>) {
    let Ok(opened) = pollster::block_on(open_model(folder, file)) else { return };
    record(&opened);
    if let Ok(tokenizer) = Tokenizer::from_documents(&opened.documents) {
        exercise(&tokenizer);
    }
    if let Ok(Some(template)) = ChatTemplate::from_documents(&opened.documents) {
        let _ = template.render(&[], true);
    }
}

/// Reads the configuration, plans its memory and records the decoder: what loading does before it asks a device for
/// anything.
fn record(opened: &OpenedModel) {
    let Ok(config) = ModelConfig::read(&opened.documents) else { return };
    let (catalog, kv_cache) = (&opened.catalog, KvFormat::Int4);
    let Ok(context_tokens) =
        memory::plan_context(CPU_PREFILL_TOKENS, &config, catalog, false, kv_cache, None, 16 << 20)
    else {
        return;
    };
    let wishes = Recording { context_tokens, scoring: false, batch_tokens: CPU_PREFILL_TOKENS, kv_cache };
    let Ok(model) = Model::record_as(config, catalog, wishes) else { return };
    for component in model.weights.iter().flat_map(|weight| &weight.components) {
        if let Ok(tensor) = opened.catalog.tensor(&component.name) {
            let _ = pollster::block_on(opened.catalog.read_rows(tensor, 0..tensor.rows().min(2)));
        }
    }
}

/// Cuts a text and puts it together again.
pub fn exercise(tokenizer: &Tokenizer) {
    for options in [EncodeOptions::PROMPT, EncodeOptions::ALL_SPECIAL, EncodeOptions::PLAIN] {
        if let Ok(ids) = tokenizer.encode(TEXT, options) {
            let _ = tokenizer.decode(&ids);
        }
    }
    let _ = tokenizer.decode(&[0, 1, u32::MAX]);
    let _ = (tokenizer.token_bytes(u32::MAX), tokenizer.is_special(u32::MAX));
}
