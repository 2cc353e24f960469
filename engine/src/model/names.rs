//! What each weight is called in a file.

/// Who named the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// transformers: `model.layers.0.self_attn.q_proj.weight`.
    HuggingFace,
    /// llama.cpp: `blk.0.attn_q.weight`.
    Gguf,
}

/// What a weight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the field's")]
pub enum Role {
    Embedding,
    FinalNorm,
    Head,
    AttentionNorm,
    Query,
    Key,
    Value,
    AttentionOutput,
    FeedForwardNorm,
    Gate,
    Up,
    Down,
}

impl Naming {
    /// The tensor's name; `layer` is ignored for those that stand outside the layers.
    pub fn name(self, role: Role, layer: u32) -> String {
        match self {
            Self::HuggingFace => {
                let part = match role {
                    Role::Embedding => return "model.embed_tokens.weight".into(),
                    Role::FinalNorm => return "model.norm.weight".into(),
                    Role::Head => return "lm_head.weight".into(),
                    Role::AttentionNorm => "input_layernorm",
                    Role::Query => "self_attn.q_proj",
                    Role::Key => "self_attn.k_proj",
                    Role::Value => "self_attn.v_proj",
                    Role::AttentionOutput => "self_attn.o_proj",
                    Role::FeedForwardNorm => "post_attention_layernorm",
                    Role::Gate => "mlp.gate_proj",
                    Role::Up => "mlp.up_proj",
                    Role::Down => "mlp.down_proj",
                };
                format!("model.layers.{layer}.{part}.weight")
            }
            Self::Gguf => {
                let part = match role {
                    Role::Embedding => return "token_embd.weight".into(),
                    Role::FinalNorm => return "output_norm.weight".into(),
                    Role::Head => return "output.weight".into(),
                    Role::AttentionNorm => "attn_norm",
                    Role::Query => "attn_q",
                    Role::Key => "attn_k",
                    Role::Value => "attn_v",
                    Role::AttentionOutput => "attn_output",
                    Role::FeedForwardNorm => "ffn_norm",
                    Role::Gate => "ffn_gate",
                    Role::Up => "ffn_up",
                    Role::Down => "ffn_down",
                };
                format!("blk.{layer}.{part}.weight")
            }
        }
    }
}
