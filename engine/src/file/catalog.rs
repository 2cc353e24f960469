//! Which tensors a model's files hold, and where.

use std::{collections::BTreeMap, rc::Rc};

use super::ByteSource;
use crate::{Error, Result, tensor::Format};

/// One tensor as it lies in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Its name in the file.
    pub name: String,
    /// Rows first: a weight of a linear layer is (outputs, inputs).
    pub shape: Vec<u64>,
    /// How its numbers are stored.
    pub format: Format,
    /// Which of [`Catalog::sources`] holds it.
    pub source: usize,
    /// Where it begins, in bytes from that file's start.
    pub offset_bytes: u64,
    /// How long it is in the file, in bytes.
    pub len_bytes: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Length of a row: the last of the shape's numbers; 1 for a scalar.
    pub fn columns(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }

    /// How many rows of [`Self::columns`] there are.
    pub fn rows(&self) -> u64 {
        self.shape.iter().rev().skip(1).product()
    }

    /// Bytes of one row in the file.
    pub fn row_bytes(&self) -> u64 {
        self.format.row_bytes(self.columns()).unwrap_or(0)
    }
}

/// All tensors of a model. Whoever makes one has checked that every tensor lies within its file and that its
/// length is what shape and format imply.
#[derive(Clone, Default)]
pub struct Catalog {
    /// By name.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// The files that hold them.
    pub sources: Vec<Rc<dyn ByteSource>>,
}

impl Catalog {
    /// The tensor of that name, or [`Error::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        self.tensors.get(name).ok_or_else(|| Error::MissingTensor { tensor: name.to_owned() })
    }

    /// Number of weights in all.
    pub fn parameters(&self) -> u64 {
        self.tensors.values().map(TensorInfo::elements).sum()
    }

    /// Bytes of all tensors as stored.
    pub fn weights_bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.len_bytes).sum()
    }

    /// Reads some rows of a tensor as they are stored.
    pub async fn read_rows(&self, tensor: &TensorInfo, rows: std::ops::Range<u64>) -> Result<Vec<u8>> {
        let row_bytes = tensor.row_bytes();
        let start = tensor.offset_bytes + rows.start * row_bytes;
        let end = tensor.offset_bytes + rows.end * row_bytes;
        self.sources[tensor.source].read(start..end).await
    }
}
