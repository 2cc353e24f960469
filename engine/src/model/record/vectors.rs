//! A decoder without its head: a whole text in, a vector for each of its tokens out.

use super::Recorder;
use crate::{
    Error, Result,
    file::Catalog,
    model::{Encoder, ModelConfig, Role},
    plan::{Plan, TensorKind},
};

impl Encoder {
    /// Records a decoder that is to turn texts of so many tokens into vectors. The text comes whole, so every layer's
    /// keys and values lie where those of the layer before lay, and nothing is kept for another batch.
    pub fn of_decoder(config: &ModelConfig, catalog: &Catalog, tokens_max: u32) -> Result<Self> {
        let ModelConfig { vocab_size, hidden, causal, .. } = *config;
        if !causal && config.layer_kinds.iter().any(|layer| layer.window > 0) {
            let reason = "is set though tokens see the whole text, which is not supported";
            return Err(Error::config("sliding_window", reason));
        }
        if catalog.quantization.rotation.residual {
            let reason = "is set, which is not supported for models that make vectors";
            return Err(Error::config("quantization_config.rotation.residual", reason));
        }
        let mut recorder =
            Recorder { batch: tokens_max, remembers: false, ..Recorder::new(config, catalog, tokens_max)? };
        let matrix = [vocab_size, hidden];
        let table = recorder.weights.matrix(&mut recorder.program, Role::Embedding, 0, matrix)?;
        let final_norm = recorder.weights.norm(&mut recorder.program, Role::FinalNorm, 0, hidden)?;
        recorder.rope_tables()?;
        recorder.declare_signs(false);
        let ids = recorder.program.declare("token ids", TensorKind::Tokens, 1, tokens_max.into());
        let stream = recorder.scratch("residual stream", hidden);
        recorder.embed(table, ids, stream);
        recorder.blocks(stream)?;
        let vectors = recorder.program.declare("vectors", TensorKind::State, tokens_max.into(), hidden.into());
        recorder.commands.push(recorder.rms_norm(stream, final_norm, vectors, false));
        recorder.weights.check_all_read(false)?;
        let Recorder { mut program, weights, commands, .. } = recorder;
        program.plans.push(Plan { name: "encode".into(), tokens_max, commands });
        let (weights, states) = (weights.loads, weights.states);
        Ok(Self { vocab_size, hidden, program, tokens_max, weights, states, vectors })
    }
}
