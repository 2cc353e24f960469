//! Files and text: what is read from them, and that nothing a file says is believed without a check.

mod allocation;
mod files;
mod gguf;
mod gguf_damaged;
mod gguf_split;
mod levels2;
mod open;
mod quant;
mod quantized;
mod reasoning;
mod safetensors;
mod stream;
mod template;
mod template_golden;
mod template_limits;
mod tokenizer;
mod tokenizer_gguf;
mod tokenizer_pieces;
mod trellis;
mod turns;
