//! Which tensors a model's files hold, and where.

use std::{collections::BTreeMap, ops::Range, rc::Rc};

use super::{ByteSource, Quantization};
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

    /// Where some of its rows lie, from its start on; `None` if they are no whole strips of a format that stores such. The
    /// last strip has the rows with it that fill it up.
    pub fn bytes_of_rows(&self, rows: &Range<u64>) -> Option<Range<u64>> {
        let strip = self.format.strip_rows();
        let is_whole = rows.start.is_multiple_of(strip) && (rows.end.is_multiple_of(strip) || rows.end == self.rows());
        is_whole.then(|| rows.start * self.row_bytes()..rows.end.next_multiple_of(strip) * self.row_bytes())
    }

    /// Bytes of one row in the file, on average where rows stand in strips.
    pub fn row_bytes(&self) -> u64 {
        self.format.row_bytes(self.columns()).unwrap_or(0)
    }
}

/// Bytes that a tensor takes in a file; `None` if a row does not end on a block's edge, or if the numbers are so large
/// that a product of some of them would overflow (those of [`TensorInfo`] then cannot).
pub(super) fn stored_bytes(shape: &[u64], format: Format) -> Option<u64> {
    // An empty side must not hide an overflow in the others.
    let bound = shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side.max(1)))?;
    bound.checked_mul(format.block_bytes() as u64)?;
    let rows = shape.iter().rev().skip(1).product::<u64>();
    format.row_bytes(shape.last().copied().unwrap_or(1))?.checked_mul(rows)
}

/// A tensor whose numbers are stored in a way that this engine does not read: it can be listed, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedTensor {
    /// Its name in the file.
    pub name: String,
    /// Rows first.
    pub shape: Vec<u64>,
    /// Its format, as the file names it.
    pub format: String,
    /// Which of [`Catalog::sources`] holds it.
    pub source: usize,
    /// Where it begins, in bytes from that file's start; of safetensors alone.
    pub offset_bytes: u64,
    /// How long it is in the file, in bytes.
    pub len_bytes: u64,
}

impl UnsupportedTensor {
    /// Number of elements, as far as numbers go.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |product, side| product.saturating_mul(*side))
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
    /// Tensors that cannot be read; a model with any is [`Self::check_supported`]'s to refuse.
    pub unsupported: Vec<UnsupportedTensor>,
    /// How our own quantizer made the weights, if it did.
    pub quantization: Quantization,
}

/// What tables of embeddings and heads are called, in either layout.
const TABLES: [&str; 10] = [
    "embed_tokens.weight",
    "lm_head.weight",
    "word_embeddings.weight",
    "position_embeddings.weight",
    "token_type_embeddings.weight",
    "token_embd.weight",
    "output.weight",
    "position_embd.weight",
    "token_types.weight",
    "cls.output.weight",
];

impl Catalog {
    /// Refuses a model of which some tensors cannot be read.
    pub fn check_supported(&self) -> Result<()> {
        self.unsupported.first().map_or(Ok(()), |tensor| {
            Err(Error::UnsupportedFormat { tensor: tensor.name.clone(), format: tensor.format.clone() })
        })
    }

    /// Refuses files without any weights: some describe a model or its tokenizer and no more.
    pub fn check_weights(&self) -> Result<()> {
        if !self.tensors.is_empty() {
            return Ok(());
        }
        let file = self.sources.first().map_or("the model", |source| source.name());
        Err(Error::malformed(file, "it holds no weights"))
    }

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

    /// Bits that a weight takes, over the whole model; 0 if it has none.
    pub fn bits_per_weight(&self) -> f64 {
        let parameters = self.parameters();
        if parameters == 0 { 0.0 } else { self.weights_bytes() as f64 * 8.0 / parameters as f64 }
    }

    /// Bits that a weight of the linear layers takes: of all matrices but tables of embeddings and the head. 0 if there
    /// are none.
    pub fn linear_bits_per_weight(&self) -> f64 {
        let linear = self.tensors.values().filter(|tensor| self.is_linear(tensor));
        let (weights, bytes) = linear.fold((0_u64, 0_u64), |(weights, bytes), tensor| {
            (weights.saturating_add(tensor.elements()), bytes.saturating_add(tensor.len_bytes))
        });
        if weights == 0 { 0.0 } else { bytes as f64 * 8.0 / weights as f64 }
    }

    /// Whether it is a matrix of a linear layer, and neither a table of embeddings nor the head.
    pub fn is_linear(&self, tensor: &TensorInfo) -> bool {
        let name = tensor.name.as_str();
        // A layer's own output, which ends as the head does, has its layer's name in front.
        let is_table = |table: &&str| name == *table || name.ends_with(*table) && *table != "output.weight";
        tensor.shape.len() > 1 && !TABLES.iter().any(is_table)
    }

    /// Whether our own quantizer made it.
    pub fn is_quantised(&self) -> bool {
        let in_strips = |tensor: &TensorInfo| tensor.format.strip_bits().is_some();
        self.quantization != Quantization::default() || self.tensors.values().any(in_strips)
    }

    /// Reads some rows of a tensor as they are stored.
    pub async fn read_rows(&self, tensor: &TensorInfo, rows: Range<u64>) -> Result<Vec<u8>> {
        let Some(source) = self.sources.get(tensor.source) else {
            return Err(Error::MissingTensor { tensor: tensor.name.clone() });
        };
        if rows.start > rows.end || rows.end > tensor.rows() {
            return Err(Error::malformed(
                source.name(),
                format_args!("rows {rows:?} of {} were asked for, but it has {}", tensor.name, tensor.rows()),
            ));
        }
        let Some(bytes) = tensor.bytes_of_rows(&rows) else {
            let reason = format!("rows {rows:?} of {} were asked for, which are no whole strips", tensor.name);
            return Err(Error::malformed(source.name(), reason));
        };
        source.read(tensor.offset_bytes + bytes.start..tensor.offset_bytes + bytes.end).await
    }

    /// Adds a tensor that has been checked; two of one name are refused.
    pub(super) fn insert(&mut self, tensor: TensorInfo) -> Result<()> {
        let name = tensor.name.clone();
        let source = tensor.source;
        match self.tensors.insert(name, tensor) {
            None => Ok(()),
            Some(earlier) => Err(Error::malformed(
                self.sources.get(source).map_or("", |source| source.name()),
                format_args!("the tensor {:?} is there twice", earlier.name),
            )),
        }
    }
}
