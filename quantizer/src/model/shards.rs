//! Finished parts of a model, each a safetensors file of its own: what is there when a run is interrupted is done.

use std::collections::BTreeMap;

use hearth_engine::{Error, Result, file::TensorInfo, tensor::Format};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// A tensor that will be written.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its type in the file.
    pub dtype: Dtype,
    /// Rows first.
    pub shape: Vec<usize>,
    /// As it lies in the file.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// As it was.
    pub fn plain(tensor: &TensorInfo, bytes: Vec<u8>) -> Result<Self> {
        let dtype = match tensor.format {
            Format::F32 => Dtype::F32,
            Format::F16 => Dtype::F16,
            Format::BF16 => Dtype::BF16,
            other => {
                return Err(Error::UnsupportedFormat { tensor: tensor.name.clone(), format: other.to_string() });
            }
        };
        let shape = tensor.shape.iter().map(|side| usize::try_from(*side).unwrap_or(usize::MAX)).collect();
        Ok(Self { dtype, shape, bytes })
    }

    /// A vector or a matrix of F32.
    pub fn floats(shape: Vec<usize>, values: &[f32]) -> Self {
        Self { dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(values).to_vec() }
    }

    /// Rows or strips of a format, each a row of bytes.
    pub fn quantised(format: Format, columns: usize, bytes: Vec<u8>) -> Self {
        let unit_bytes = format.rows_bytes(1, columns as u64).unwrap_or(1).max(1) as usize;
        Self { dtype: Dtype::U8, shape: vec![bytes.len() / unit_bytes, unit_bytes], bytes }
    }
}

/// The bytes of a file with these tensors.
pub fn to_bytes(tensors: &BTreeMap<String, Stored>) -> Result<Vec<u8>> {
    let fault = |error: safetensors::SafeTensorError| Error::malformed("the quantised tensors", error);
    let mut views = Vec::new();
    for (name, stored) in tensors {
        views.push((name, TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes).map_err(fault)?));
    }
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).map_err(fault)
}

/// The tensors of a file that was kept.
pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Stored>> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| Error::malformed(file, error))?;
    let stored = tensors.iter().map(|(name, view)| {
        let stored = Stored { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        (name.to_owned(), stored)
    });
    Ok(stored.collect())
}

/// What a part is called, by Hugging Face's custom.
pub fn name(part: usize, parts: usize) -> String {
    format!("model-{:05}-of-{parts:05}.safetensors", part + 1)
}
