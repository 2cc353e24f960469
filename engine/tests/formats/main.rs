//! Files and text: what is read from them, and that nothing a file says is believed without a check.

mod allocation;
mod files;
mod gguf;
mod gguf_damaged;
mod open;
mod quant;
mod safetensors;
mod stream;
mod template;
mod tokenizer;
mod tokenizer_gguf;
mod tokenizer_pieces;
