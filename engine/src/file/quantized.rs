//! What our own quantizer says of a folder's weights: `quantization_config` of method "hearth" in `config.json`. It turns
//! tensors of plain bytes into matrices of a format. docs/formats/trellis.md describes it; the codebook and
//! window that it names are those of trellis tensors, and unused where there are none.

use serde_json::{Map, Value};

use super::{Catalog, TensorInfo, UnsupportedTensor};
use crate::{
    Error, Result,
    quant::{
        rotation::{DOWN_BLOCKS, Rotation},
        trellis::{Code, Codebook},
    },
    tensor::Format,
};

/// The method that is ours.
pub const QUANT_METHOD: &str = "hearth";

/// The version that is read.
pub const QUANT_VERSION: u64 = 1;

/// The field of `config.json`.
const FIELD: &str = "quantization_config";

/// How a model's weights were quantised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantization {
    /// How the windows of all trellis tensors are read.
    pub code: Code,
    /// What was rotated beforehand.
    pub rotation: Rotation,
}

/// Gives the tensors that `config.json` names their formats and shapes. A configuration of nobody's or another method
/// changes nothing.
pub(super) fn apply(config: &str, catalog: &mut Catalog) -> Result<()> {
    let Ok(Value::Object(config)) = serde_json::from_str(config) else { return Ok(()) };
    let Some(Value::Object(own)) = config.get(FIELD) else { return Ok(()) };
    if own.get("quant_method").and_then(Value::as_str) != Some(QUANT_METHOD) {
        return Ok(());
    }
    let own = Section { name: FIELD.to_owned(), fields: own };
    let version = own.need("version", "a whole number", Value::as_u64)?;
    if version != QUANT_VERSION {
        return Err(own.wrong("version", format!("is {version}, but this engine reads {QUANT_VERSION}")));
    }
    let codebook = own.need("codebook", "a text", |value| value.as_str().map(str::to_owned))?;
    let codebook = Codebook::from_name(&codebook).ok_or_else(|| {
        let known = Codebook::ALL.map(Codebook::name).join(" or ");
        own.wrong("codebook", format!("is {codebook:?}, which is not known; it must be {known}"))
    })?;
    let window_bits = own.need("window_bits", "a whole number", to_u32)?;
    catalog.quantization = Quantization { code: Code::new(codebook, window_bits)?, rotation: rotation(&own)? };
    let tensors = own.section("tensors")?.ok_or_else(|| own.wrong("tensors", "is missing".to_owned()))?;
    for (name, entry) in tensors.fields {
        let stored = Entry::of(&tensors, name, entry)?;
        let tensor = stored.find(catalog)?;
        catalog.insert(tensor)?;
    }
    Ok(())
}

fn to_u32(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn rotation(own: &Section<'_>) -> Result<Rotation> {
    let Some(section) = own.section("rotation")? else { return Ok(Rotation::default()) };
    let rotation = Rotation {
        seed: section.need("seed", "a whole number", Value::as_u64)?,
        residual: section.need("residual", "true or false", Value::as_bool)?,
        values: section.need("values", "true or false", Value::as_bool)?,
        down_block: section.need("down_block", "a whole number", to_u32)?,
    };
    if !DOWN_BLOCKS.contains(&rotation.down_block) {
        let reason = format!("is {}, but must be one of {DOWN_BLOCKS:?}", rotation.down_block);
        return Err(section.wrong("down_block", reason));
    }
    Ok(rotation)
}

/// An object of the configuration, with the way to it.
struct Section<'a> {
    name: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    fn wrong(&self, field: &str, reason: String) -> Error {
        Error::config(format!("{}.{field}", self.name), reason)
    }

    fn need<T>(&self, field: &str, wanted: &str, convert: impl FnOnce(&'a Value) -> Option<T>) -> Result<T> {
        let value = self.fields.get(field).ok_or_else(|| self.wrong(field, "is missing".to_owned()))?;
        convert(value).ok_or_else(|| self.wrong(field, format!("is not {wanted}")))
    }

    fn section(&self, field: &str) -> Result<Option<Section<'a>>> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Section { name: format!("{}.{field}", self.name), fields })),
            Some(_) => Err(self.wrong(field, "is not an object".to_owned())),
        }
    }
}

/// What is said of one tensor.
struct Entry<'a> {
    name: &'a str,
    format: Format,
    rows: u64,
    columns: u64,
    /// What it takes, as the container knows it: rows or strips, and the bytes of one.
    stored_shape: [u64; 2],
}

impl<'a> Entry<'a> {
    fn of(tensors: &Section<'a>, name: &'a str, entry: &'a Value) -> Result<Self> {
        let Value::Object(fields) = entry else { return Err(tensors.wrong(name, "is not an object".to_owned())) };
        let entry = Section { name: format!("{}.{name}", tensors.name), fields };
        let format = entry.need("format", "a text", Value::as_str)?;
        let format = Format::from_name(format).ok_or_else(|| {
            let format = format!("{format}, which {FIELD} says and this engine does not know");
            Error::UnsupportedFormat { tensor: name.to_owned(), format }
        })?;
        let shape = entry.need("shape", "a list of two whole numbers", |value| {
            value.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>()
        })?;
        let (rows, columns) = match *shape.as_slice() {
            [rows, columns] if rows > 0 && columns > 0 => (rows, columns),
            _ => return Err(entry.wrong("shape", format!("is {shape:?}, but must be two numbers above 0"))),
        };
        let stored_shape = format
            .row_bytes(columns)
            .and_then(|bytes| Some([rows.div_ceil(format.strip_rows()), bytes.checked_mul(format.strip_rows())?]))
            .filter(|[strips, bytes]| strips.checked_mul(*bytes).is_some() && rows.checked_mul(columns).is_some());
        let stored_shape = stored_shape.ok_or_else(|| {
            let block = format.block_elements();
            entry.wrong("shape", format!("is {shape:?}, but {format} needs columns that are a multiple of {block}"))
        })?;
        Ok(Self { name, format, rows, columns, stored_shape })
    }

    /// Takes the tensor's bytes out of those that cannot be read otherwise.
    fn find(&self, catalog: &mut Catalog) -> Result<TensorInfo> {
        let Some(at) = catalog.unsupported.iter().position(|tensor| tensor.name == self.name) else {
            let found = catalog.tensor(self.name)?;
            let format = format!("{}, although {FIELD} says {}", found.format, self.format);
            return Err(Error::UnsupportedFormat { tensor: self.name.to_owned(), format });
        };
        let UnsupportedTensor { name, shape, format, source, offset_bytes, len_bytes } = catalog.unsupported.remove(at);
        if format != "U8" {
            let format = format!("{format}, although {FIELD} says {}", self.format);
            return Err(Error::UnsupportedFormat { tensor: name, format });
        }
        let [units, bytes] = self.stored_shape;
        if shape != self.stored_shape || len_bytes != units * bytes {
            return Err(Error::WrongShape { tensor: name, expected: self.stored_shape.to_vec(), found: shape });
        }
        let shape = vec![self.rows, self.columns];
        Ok(TensorInfo { name, shape, format: self.format, source, offset_bytes, len_bytes })
    }
}
