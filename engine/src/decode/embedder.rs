//! An encoder, or a decoder without its head, on a device, and from the vectors of a text's tokens to one of the text.

use super::load::{Cargo, LoadProgress};
use crate::{Error, Result, device::Device, file::Catalog, kernel::Step, model::Encoder, protocol::Pooling};

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
        let (weights, states, context_tokens) = (&model.weights, &model.states, model.tokens_max);
        Cargo { catalog, weights, states, context_tokens }.load(&mut device, progress).await?;
        Ok(Self { device, model })
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
        self.model.hidden
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
        if let Some(id) = ids.iter().find(|id| **id >= self.model.vocab_size) {
            let reason = format!("made token {id}, but the model knows {}", self.model.vocab_size);
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
