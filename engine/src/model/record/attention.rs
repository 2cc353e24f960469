//! The first half of the block: attention.

use super::{Recorder, linear};
use crate::{
    Result,
    kernel::{
        Attention, KvLayout, KvWrite, RmsNorm, Rope,
        shader::{attention, kv_write, rms_norm, rope},
    },
    model::{Biases, LayerConfig, ModelConfig, QkNorm, Role, weights::Fused},
    plan::{Command, TensorKind},
    tensor::{KvFormat, TensorId},
};

impl Recorder<'_> {
    pub(super) fn attention(&mut self, layer: u32, stream: TensorId) -> Result<()> {
        let ModelConfig { hidden, heads, kv_heads, head_dim, scales, .. } = *self.config;
        let kind = self.config.layer_kinds[layer as usize];
        let query_width = heads * head_dim;
        let x = self.branch_in(Role::AttentionNorm, layer, stream)?;
        let q = self.project(Role::Query, layer, x)?;
        let k = self.project(Role::Key, layer, x)?;
        let v = self.project(Role::Value, layer, x)?;
        let q = self.qk_norm(Role::QueryNorm, layer, q, heads)?;
        let k = self.qk_norm(Role::KeyNorm, layer, k, kv_heads)?;
        self.rope(kind, q, heads);
        self.rope(kind, k, kv_heads);
        let format = self.cache_format();
        self.rotate_heads([(q, heads), (k, kv_heads), (v, kv_heads)]);
        let keys = self.keep(k, "key", layer);
        let values = self.keep(v, "value", layer);
        let mixed = self.scratch("mixed values", query_width);
        let params = attention::Params {
            heads,
            kv_heads,
            head_dim,
            context: self.context,
            scale: scales.attention,
            softcap: scales.attention_softcap,
            window: kind.window,
            causal: u32::from(self.config.causal),
        };
        self.commands.push(Command::Attention(Attention { queries: q, keys, values, format, out: mixed, params }));
        self.rotate_heads([(mixed, heads)]);
        let weights = self.weights.matrix(&mut self.program, Role::AttentionOutput, layer, [hidden, query_width])?;
        let out = self.branch_sum(stream);
        self.commands.push(linear(mixed, weights, out, [hidden, query_width], out == stream));
        let is_biased = self.is_biased(Role::AttentionOutput);
        let bias = self.weights.bias(&mut self.program, Role::AttentionOutput, layer, hidden, is_biased)?;
        self.add_bias(bias, out, hidden);
        if out != stream {
            self.branch_out(Role::AttentionPostNorm, layer, out, stream)?;
        }
        Ok(())
    }

    /// Queries, keys or values.
    fn project(&mut self, role: Role, layer: u32, x: TensorId) -> Result<TensorId> {
        let ModelConfig { hidden, heads, kv_heads, head_dim, .. } = *self.config;
        let (query_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let (first_row, width) = match role {
            Role::Query => (0, query_width),
            Role::Key => (query_width, kv_width),
            _ => (query_width + kv_width, kv_width),
        };
        let (weights, bias) = if self.weights.are_projections_fused(layer) {
            let fused = Fused { role: Role::QueryKeyValue, first_row, rows: query_width + 2 * kv_width };
            let weights = self.weights.part(&mut self.program, fused, layer, [width, hidden])?;
            (weights, self.weights.bias_part(&mut self.program, fused, layer, width)?)
        } else {
            let weights = self.weights.matrix(&mut self.program, role, layer, [width, hidden])?;
            let is_biased = self.is_biased(role);
            (weights, self.weights.bias(&mut self.program, role, layer, width, is_biased)?)
        };
        let out = self.scratch("projected", width);
        self.commands.push(linear(x, weights, out, [width, hidden], false));
        self.add_bias(bias, out, width);
        Ok(out)
    }

    /// Whether the configuration gives a projection a bias.
    fn is_biased(&self, role: Role) -> bool {
        match self.config.architecture.biases {
            Biases::Configured => self.config.attention_bias == Some(true),
            Biases::QueryKeyValue => role != Role::AttentionOutput,
        }
    }

    fn qk_norm(&mut self, role: Role, layer: u32, x: TensorId, heads: u32) -> Result<TensorId> {
        let head_dim = self.config.head_dim;
        let (rows, columns) = match self.config.architecture.qk_norm {
            QkNorm::None => return Ok(x),
            QkNorm::Head => (heads, head_dim),
            QkNorm::Width => (1, heads * head_dim),
        };
        let weight = self.weights.norm(&mut self.program, role, layer, columns)?;
        let out = self.scratch("normed heads", heads * head_dim);
        let params = rms_norm::Params { columns, epsilon: self.config.norm_epsilon, rows };
        self.commands.push(Command::RmsNorm(RmsNorm { x, weight, out, single: false, params }));
        Ok(out)
    }

    fn rope(&mut self, kind: LayerConfig, x: TensorId, heads: u32) {
        let Some(index) = kind.rope else { return };
        let (table, of) = (self.ropes[index], &self.config.ropes[index]);
        let params = rope::Params {
            heads,
            head_dim: self.config.head_dim,
            rotary: of.rotary,
            interleaved: u32::from(of.interleaved),
        };
        self.commands.push(Command::Rope(Rope { table, x, params }));
    }

    /// Keeps keys or values in a cache, for the tokens behind these.
    fn keep(&mut self, x: TensorId, what: &str, layer: u32) -> TensorId {
        let (context, kv_heads, head_dim) = (self.context, self.config.kv_heads, self.config.head_dim);
        let format = self.cache_format();
        let (rows, columns) = match format {
            KvFormat::F32 => (u64::from(kv_heads) * u64::from(context), u64::from(head_dim)),
            _ => (u64::from(kv_heads), KvLayout::new(format, head_dim, context).head_words()),
        };
        // A text that comes whole is forgotten with its last layer: all layers may use the same memory.
        let kind = if self.remembers { TensorKind::State } else { TensorKind::Scratch };
        let cache = self.program.declare(format!("{what} cache {layer}"), kind, rows, columns);
        let params = kv_write::Params { kv_heads, head_dim, context };
        self.commands.push(Command::KvWrite(KvWrite { x, cache, format, params }));
        cache
    }
}
