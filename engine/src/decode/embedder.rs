//! An encoder on a device, and from the vectors of a text's tokens to one of the text.

use super::{LoadProgress, session::pieces};
use crate::{
    Error, Result,
    device::Device,
    file::{Catalog, TensorInfo},
    kernel::Step,
    model::{Encoder, EncoderConfig, EncoderInit},
    protocol::Pooling,
    quant,
    tensor::TensorId,
};

/// An encoder that is ready. It remembers nothing from one text to the next.
pub struct Embedder {
    device: Device,
    model: Encoder,
}

impl Embedder {
    /// Puts an encoder on a device. `progress` is called after every piece; its error stops the loading.
    pub async fn load(
        mut device: Device,
        catalog: &Catalog,
        model: Encoder,
        progress: &mut dyn FnMut(LoadProgress) -> Result<()>,
    ) -> Result<Self> {
        device.prepare(&model.program).await?;
        let mut done = LoadProgress { done_bytes: 0, total_bytes: wanted_bytes(&model, catalog) };
        progress(done)?;
        for (id, name) in &model.weights {
            let tensor = catalog.tensor(name)?;
            for rows in pieces(tensor) {
                let bytes = catalog.read_rows(tensor, rows.clone()).await?;
                device.upload(*id, rows, &bytes)?;
                done.done_bytes += bytes.len() as u64;
                progress(done)?;
            }
        }
        for (id, init) in &model.states {
            done.done_bytes += fill(&mut device, catalog, *id, init).await?;
        }
        progress(done)?;
        Ok(Self { device, model })
    }

    /// The model's shape.
    pub fn config(&self) -> &EncoderConfig {
        &self.model.config
    }

    /// What it runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Tokens of the longest text that there is room for.
    pub fn tokens_max(&self) -> u32 {
        self.model.tokens_max
    }

    /// Length of a text's vector.
    pub fn dimensions(&self) -> u32 {
        self.model.config.hidden
    }

    /// The vector of a text, from all of its tokens, the special ones included.
    pub async fn embed(&mut self, ids: &[u32], pooling: Pooling, normalize: bool) -> Result<Vec<f32>> {
        let vectors = self.encode(ids, pooling).await?;
        let dimensions = self.dimensions() as usize;
        let mut vector = match pooling {
            Pooling::Mean => mean(&vectors, dimensions),
            Pooling::Cls | Pooling::Last => vectors,
        };
        if normalize {
            scale_to_one(&mut vector);
        }
        // A damaged weight is the likeliest cause; such a vector would spoil every search it takes part in.
        if vector.iter().any(|value| !value.is_finite()) {
            return Err(Error::DeviceFault { reason: "the vector holds something else than numbers".into() });
        }
        Ok(vector)
    }

    /// Runs the encoder, and reads what the pooling needs: (tokens, hidden), or one row of it.
    async fn encode(&mut self, ids: &[u32], pooling: Pooling) -> Result<Vec<f32>> {
        let (tokens, tokens_max) = (ids.len(), self.tokens_max() as usize);
        if tokens == 0 {
            return Err(Error::invalid("text", "is empty, and the model puts nothing around it"));
        }
        if tokens > tokens_max {
            return Err(Error::PromptTooLong { prompt_tokens: tokens, context_tokens: tokens_max });
        }
        if let Some(id) = ids.iter().find(|id| **id >= self.model.config.vocab_size) {
            let reason = format!("made token {id}, but the model knows {}", self.model.config.vocab_size);
            return Err(Error::Tokenizer { reason });
        }
        self.device.run(0, Step { position: 0, tokens: tokens as u32 }, ids)?;
        let rows = match pooling {
            Pooling::Mean => 0..tokens as u64,
            Pooling::Cls => 0..1,
            Pooling::Last => tokens as u64 - 1..tokens as u64,
        };
        let columns = u64::from(self.dimensions());
        self.device.read(self.model.vectors, rows.start * columns..rows.end * columns).await
    }
}

/// Fills a state; how many bytes of the files that took.
async fn fill(device: &mut Device, catalog: &Catalog, id: TensorId, init: &EncoderInit) -> Result<u64> {
    match init {
        EncoderInit::Vector { name } => {
            let tensor = catalog.tensor(name)?;
            let values = read_floats(catalog, tensor, 0..1).await?;
            device.write(id, 0, &values)?;
            Ok(tensor.len_bytes)
        }
        EncoderInit::Positions { table, first_row, rows, types } => {
            let types = match types {
                Some(name) => Some(read_floats(catalog, catalog.tensor(name)?, 0..1).await?),
                None => None,
            };
            let tensor = catalog.tensor(table)?;
            let columns = tensor.columns();
            for piece in pieces(tensor) {
                let wanted = piece.start.max(*first_row)..piece.end.min(first_row + rows);
                if wanted.is_empty() {
                    continue;
                }
                let mut values = read_floats(catalog, tensor, wanted.clone()).await?;
                for row in values.chunks_exact_mut(columns as usize) {
                    for (value, of_type) in row.iter_mut().zip(types.iter().flatten()) {
                        *value += of_type;
                    }
                }
                device.write(id, (wanted.start - first_row) * columns, &values)?;
            }
            Ok(rows * tensor.row_bytes())
        }
    }
}

/// Some rows of a tensor, decoded.
async fn read_floats(catalog: &Catalog, tensor: &TensorInfo, rows: std::ops::Range<u64>) -> Result<Vec<f32>> {
    let bytes = catalog.read_rows(tensor, rows.clone()).await?;
    let mut values = vec![0.0; (rows.end - rows.start) as usize * tensor.columns() as usize];
    let stored = bytes.chunks_exact((tensor.row_bytes() as usize).max(1));
    for (row, out) in stored.zip(values.chunks_exact_mut((tensor.columns() as usize).max(1))) {
        quant::decode_row(tensor.format, row, out);
    }
    Ok(values)
}

/// Bytes that the recorded model takes from the files.
fn wanted_bytes(model: &Encoder, catalog: &Catalog) -> u64 {
    let bytes = |name: &String| catalog.tensors.get(name).map_or(0, |tensor| tensor.len_bytes);
    let weights: u64 = model.weights.iter().map(|(_, name)| bytes(name)).sum();
    let states = model.states.iter().map(|(_, init)| match init {
        EncoderInit::Vector { name } => bytes(name),
        EncoderInit::Positions { table, rows, .. } => {
            rows * catalog.tensors.get(table).map_or(0, TensorInfo::row_bytes)
        }
    });
    weights + states.sum::<u64>()
}

/// The mean of rows.
fn mean(rows: &[f32], columns: usize) -> Vec<f32> {
    let count = (rows.len() / columns.max(1)) as f64;
    (0..columns)
        .map(|column| (rows.iter().skip(column).step_by(columns).map(|x| f64::from(*x)).sum::<f64>() / count) as f32)
        .collect()
}

/// To length 1; a vector of zeros stays as it is.
fn scale_to_one(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_by_column_and_the_length_is_one() {
        let mut vector = mean(&[1.0, 2.0, 5.0, 6.0], 2);
        assert_eq!(vector, [3.0, 4.0]);
        scale_to_one(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut zeros = [0.0; 2];
        scale_to_one(&mut zeros);
        assert_eq!(zeros, [0.0; 2]);
    }
}
