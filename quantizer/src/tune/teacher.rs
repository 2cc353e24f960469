//! The full model on a device, asked for its logits a text at a time.

use hearth_engine::{
    Error, Result,
    device::Device,
    file::{Catalog, OpenedModel},
    kernel::Step,
    model::{Model, ModelConfig, PlanIndex},
};

use crate::model::calibration::state_values;

/// Rows that are put on the device at a time: whole strips, and few enough to be small.
const PIECE_ROWS: u64 = 1024;

/// The model that the student was made of.
pub(super) struct Teacher {
    model: Model,
}

impl Teacher {
    /// Puts it on a device, for texts of up to so many tokens.
    pub async fn load(device: &mut Device, opened: &OpenedModel, tokens_max: u32) -> Result<Self> {
        let (config, catalog) = (ModelConfig::read(&opened.documents)?, &opened.catalog);
        let model = Model::record_batches(config, catalog, tokens_max, true, device.prefill_tokens())?;
        device.prepare(&model.program).await?;
        for load in &model.weights {
            for component in &load.components {
                let tensor = catalog.tensor(&component.name)?;
                for first in component.rows.clone().step_by(PIECE_ROWS as usize) {
                    let rows = first..component.rows.end.min(first + PIECE_ROWS);
                    let bytes = catalog.read_rows(tensor, rows.clone()).await?;
                    let at = component.first_row + first - component.rows.start;
                    device.upload(load.id, at..at + rows.end - first, &bytes)?;
                }
            }
        }
        Self::fill(device, &model, catalog, tokens_max).await?;
        Ok(Self { model })
    }

    async fn fill(device: &mut Device, model: &Model, catalog: &Catalog, tokens_max: u32) -> Result<()> {
        for (id, init) in &model.states {
            let values = state_values(catalog, init, tokens_max).await?;
            let values = values.ok_or_else(|| Error::invalid("the model", "was rotated already"))?;
            device.write(*id, 0, &values)?;
        }
        Ok(())
    }

    /// Logits of each token of a text: (tokens, vocabulary).
    pub async fn logits(&self, device: &mut Device, ids: &[u32]) -> Result<Vec<f32>> {
        let plan = PlanIndex::Score as usize;
        let batch = self.model.program.plans[plan].tokens_max as usize;
        let vocab = u64::from(self.model.config.vocab_size);
        let mut logits = Vec::with_capacity(ids.len() * vocab as usize);
        for (at, ids) in ids.chunks(batch).enumerate() {
            let step = Step { position: (at * batch) as u32, tokens: ids.len() as u32 };
            device.run(plan, step, ids)?;
            logits.extend(device.read(self.model.logits, 0..ids.len() as u64 * vocab).await?);
        }
        Ok(logits)
    }
}
