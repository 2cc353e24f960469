//! Writes a model of random weights in a known shape to a folder, so that reading it from a disk can be measured:
//! `cargo run --release --example random_model -- llama-2-7b LEVELS2 /tmp/seven`

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use hearth_engine::{
    Error, Result,
    bench::open_shape,
    file::{Catalog, Documents, QUANT_METHOD, QUANT_VERSION, TensorInfo},
    protocol::BenchShape,
    tensor::Format,
};
use serde_json::{Map, Value, json};

/// Bytes that are made at a time, about.
const PIECE_BYTES: u64 = 8 << 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shape, format, folder] = arguments.as_slice() else {
        return Err(Error::invalid("the arguments", "must be a shape, a format and a folder"));
    };
    let shape: BenchShape = serde_json::from_value(Value::String(shape.clone()))
        .map_err(|error| Error::invalid("the shape", error.to_string()))?;
    let format = Format::from_name(format).ok_or_else(|| Error::invalid("the format", "is not known"))?;
    let opened = open_shape(shape, format, 1)?;
    let Documents::HuggingFace { config, .. } = &opened.documents else { return Ok(()) };
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).map_err(io)?;
    let config = with_formats(config, &opened.catalog)?;
    std::fs::write(folder.join("config.json"), config).map_err(io)?;
    pollster::block_on(write_weights(&opened.catalog, &folder.join("model.safetensors")))
}

fn io(error: std::io::Error) -> Error {
    Error::Io { file: "the model's folder".to_owned(), reason: error.to_string() }
}

/// What the container calls it, and its shape there.
fn stored(tensor: &TensorInfo) -> (&'static str, Vec<u64>) {
    if tensor.format == Format::F32 {
        return ("F32", tensor.shape.clone());
    }
    let strips = tensor.rows().div_ceil(tensor.format.strip_rows());
    ("U8", vec![strips, tensor.len_bytes / strips.max(1)])
}

/// The configuration, with what is said of tensors that are no plain numbers.
fn with_formats(config: &str, catalog: &Catalog) -> Result<String> {
    let wrong = |error: serde_json::Error| Error::invalid("the configuration", error.to_string());
    let mut config: Map<String, Value> = serde_json::from_str(config).map_err(wrong)?;
    let packed = catalog.tensors.values().filter(|tensor| tensor.format != Format::F32);
    let tensors: Map<String, Value> = packed
        .map(|tensor| (tensor.name.clone(), json!({ "format": tensor.format.name(), "shape": tensor.shape })))
        .collect();
    let quantization = json!({
        "quant_method": QUANT_METHOD, "version": QUANT_VERSION, "codebook": catalog.quantization.code.codebook.name(),
        "window_bits": 16, "tensors": tensors,
    });
    config.insert("quantization_config".to_owned(), quantization);
    Ok(Value::Object(config).to_string())
}

async fn write_weights(catalog: &Catalog, path: &Path) -> Result<()> {
    let (mut header, mut end) = (Map::new(), 0_u64);
    for tensor in catalog.tensors.values() {
        let (dtype, shape) = stored(tensor);
        let offsets = [end, end + tensor.len_bytes];
        header.insert(tensor.name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }));
        end += tensor.len_bytes;
    }
    let mut header = Value::Object(header).to_string();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(64) - header.len()));
    let mut file = BufWriter::new(File::create(path).map_err(io)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
    file.write_all(header.as_bytes()).map_err(io)?;
    for tensor in catalog.tensors.values() {
        let strip = tensor.format.strip_rows();
        let step = (PIECE_BYTES / tensor.row_bytes().max(1)).max(1).next_multiple_of(strip);
        for first in (0..tensor.rows()).step_by(step as usize) {
            let rows = first..(first + step).min(tensor.rows());
            file.write_all(&catalog.read_rows(tensor, rows).await?).map_err(io)?;
        }
    }
    file.flush().map_err(io)
}
