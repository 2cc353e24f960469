//! What each weight is called in a file.

use super::Norms;

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
    /// Query, key and value, one below the other.
    QueryKeyValue,
    Query,
    Key,
    Value,
    QueryNorm,
    KeyNorm,
    AttentionOutput,
    /// Behind attention.
    AttentionPostNorm,
    FeedForwardNorm,
    /// Gate and up, one below the other.
    GateUp,
    Gate,
    Up,
    Down,
    /// Behind the feed-forward layer.
    FeedForwardPostNorm,
    /// What scores the experts.
    Router,
    /// Of one expert, or of all experts in one tensor.
    ExpertGate,
    ExpertUp,
    ExpertDown,
    /// Gate and up of each expert, one below the other.
    ExpertGateUp,
}

impl Naming {
    /// The tensor's name without its ending; `layer` is ignored for those that stand outside the layers. Where the norms
    /// stand decides what transformers calls them.
    fn stem(self, role: Role, norms: Norms, layer: u32) -> String {
        match self {
            Self::HuggingFace => {
                let part = match role {
                    Role::Embedding => return "model.embed_tokens".into(),
                    Role::FinalNorm => return "model.norm".into(),
                    Role::Head => return "lm_head".into(),
                    Role::AttentionNorm => "input_layernorm",
                    Role::QueryKeyValue => "self_attn.qkv_proj",
                    Role::Query => "self_attn.q_proj",
                    Role::Key => "self_attn.k_proj",
                    Role::Value => "self_attn.v_proj",
                    Role::QueryNorm => "self_attn.q_norm",
                    Role::KeyNorm => "self_attn.k_norm",
                    Role::AttentionOutput => "self_attn.o_proj",
                    Role::AttentionPostNorm => "post_attention_layernorm",
                    Role::FeedForwardNorm if norms == Norms::Pre => "post_attention_layernorm",
                    Role::FeedForwardNorm => "pre_feedforward_layernorm",
                    Role::GateUp => "mlp.gate_up_proj",
                    Role::Gate => "mlp.gate_proj",
                    Role::Up => "mlp.up_proj",
                    Role::Down => "mlp.down_proj",
                    Role::FeedForwardPostNorm => "post_feedforward_layernorm",
                    Role::Router => "mlp.gate",
                    Role::ExpertGate => "gate_proj",
                    Role::ExpertUp => "up_proj",
                    Role::ExpertDown => "down_proj",
                    Role::ExpertGateUp => "gate_up_proj",
                };
                format!("model.layers.{layer}.{part}")
            }
            Self::Gguf => {
                let part = match role {
                    Role::Embedding => return "token_embd".into(),
                    Role::FinalNorm => return "output_norm".into(),
                    Role::Head => return "output".into(),
                    Role::AttentionNorm => "attn_norm",
                    Role::QueryKeyValue => "attn_qkv",
                    Role::Query => "attn_q",
                    Role::Key => "attn_k",
                    Role::Value => "attn_v",
                    Role::QueryNorm => "attn_q_norm",
                    Role::KeyNorm => "attn_k_norm",
                    Role::AttentionOutput => "attn_output",
                    Role::AttentionPostNorm => "post_attention_norm",
                    Role::FeedForwardNorm => "ffn_norm",
                    Role::Gate => "ffn_gate",
                    Role::GateUp | Role::Up => "ffn_up",
                    Role::Down => "ffn_down",
                    Role::FeedForwardPostNorm => "post_ffw_norm",
                    Role::Router => "ffn_gate_inp",
                    Role::ExpertGate => "ffn_gate_exps",
                    Role::ExpertUp => "ffn_up_exps",
                    Role::ExpertDown => "ffn_down_exps",
                    Role::ExpertGateUp => "ffn_gate_up_exps",
                };
                format!("blk.{layer}.{part}")
            }
        }
    }

    /// The weight's name.
    pub fn weight(self, role: Role, norms: Norms, layer: u32) -> String {
        self.stem(role, norms, layer) + ".weight"
    }

    /// The bias's name.
    pub fn bias(self, role: Role, norms: Norms, layer: u32) -> String {
        self.stem(role, norms, layer) + ".bias"
    }

    /// The name of one expert's weight, or of the tensor that holds those of all experts.
    pub fn expert(self, role: Role, layer: u32, expert: u32) -> String {
        let stem = self.stem(role, Norms::Pre, layer);
        match (self, stem.rsplit_once('.')) {
            (Self::HuggingFace, Some((block, part))) => format!("{block}.mlp.experts.{expert}.{part}.weight"),
            _ => stem + ".weight",
        }
    }
}
