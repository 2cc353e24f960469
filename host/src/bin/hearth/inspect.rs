//! `inspect`: what a model's files hold, without loading it.

use hearth_engine::{
    Error,
    file::{Catalog, Documents, TensorInfo, open_model},
    model::{EncoderConfig, ModelConfig},
    runtime::ModelLocation,
};
use hearth_host::ModelStore;
use serde::Serialize;

use crate::{
    args::Inspect,
    output::{Output, Stop, bytes, count},
};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    model: String,
    layout: &'static str,
    architecture: String,
    is_supported: bool,
    context_tokens: Option<u32>,
    parameters: u64,
    weights_bytes: u64,
    files: Vec<File<'a>>,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    shape: &'a [u64],
    format: &'static str,
    bytes: u64,
}

pub fn inspect(models: &ModelStore, args: &Inspect, output: &Output) -> Result<(), Stop> {
    let location = ModelLocation::from(models.find(&args.path)?);
    let opened = pollster::block_on(open_model(location.folder.as_ref(), location.file.as_deref()))?;
    // A model that cannot run here can still be looked at.
    let (architecture, is_supported, context_tokens) = match ModelConfig::read(&opened.documents) {
        Ok(config) => (config.architecture.name.to_owned(), true, Some(config.context_tokens)),
        Err(Error::UnknownArchitecture { architecture, .. }) => match EncoderConfig::find(&opened.documents)? {
            Some(config) => (architecture, true, Some(config.positions)),
            None => (architecture, false, None),
        },
        Err(error) => return Err(error.into()),
    };
    let report = report(&location.name, &opened.documents, &opened.catalog);
    let report = Report { architecture, is_supported, context_tokens, ..report };
    if output.json { output.json(&report) } else { print(&report, output) }
}

fn report<'a>(model: &str, documents: &Documents, catalog: &'a Catalog) -> Report<'a> {
    let files = catalog.sources.iter().map(|source| File { name: source.name(), bytes: source.len_bytes() });
    let tensor = |tensor: &'a TensorInfo| Tensor {
        name: &tensor.name,
        shape: &tensor.shape,
        format: tensor.format.name(),
        bytes: tensor.len_bytes,
    };
    Report {
        model: model.to_owned(),
        layout: match documents {
            Documents::HuggingFace { .. } => "safetensors",
            Documents::Gguf { .. } => "gguf",
        },
        architecture: String::new(),
        is_supported: false,
        context_tokens: None,
        parameters: catalog.parameters(),
        weights_bytes: catalog.weights_bytes(),
        files: files.collect(),
        tensors: catalog.tensors.values().map(tensor).collect(),
    }
}

fn print(report: &Report<'_>, output: &Output) -> Result<(), Stop> {
    let note = if report.is_supported { "" } else { " (not known to this engine)" };
    output.line(format!("model         {} ({})", report.model, report.layout))?;
    output.line(format!("architecture  {}{note}", report.architecture))?;
    output.line(format!("parameters    {} ({})", count(report.parameters), report.parameters))?;
    output.line(format!("weights       {}", bytes(report.weights_bytes)))?;
    if let Some(context_tokens) = report.context_tokens {
        output.line(format!("context       {context_tokens} tokens"))?;
    }
    for file in &report.files {
        output.line(format!("file          {} ({})", file.name, bytes(file.bytes)))?;
    }
    output.line("")?;
    let width = report.tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0);
    for tensor in &report.tensors {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let (name, shape, format) = (tensor.name, shape.join(" x "), tensor.format);
        output.line(format!("{name:width$}  {shape:>14}  {format:<5} {:>10}", bytes(tensor.bytes)))?;
    }
    Ok(())
}
