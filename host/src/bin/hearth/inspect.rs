//! `inspect`: what a model is and what it needs, without loading it.

use hearth_engine::{
    protocol::{Event, Fit, InspectRequest, Layout, ModelReport, ModelTask, Outlook, Request, TensorReport},
    tensor::KvFormat,
};
use hearth_host::EngineHandle;

use crate::{
    args::{Global, Inspect},
    output::{Output, Stop, bytes, count},
    session::{request, unexpected},
};

pub fn inspect(engine: &EngineHandle, args: &Inspect, global: &Global, output: &Output) -> Result<(), Stop> {
    let asked = InspectRequest {
        model: args.path.clone(),
        context_tokens: global.context,
        kv_cache: global.kv_cache(KvFormat::default()),
        // Programs get all there is; a person is spared some hundred lines.
        tensors: args.tensors || output.json,
    };
    match request(engine, Request::Inspect(asked), |_| Ok(()))? {
        Event::Inspected(report) => {
            if output.json {
                output.json(&for_programs(&report)?)?;
            } else {
                print(&report, output)?;
            }
            // What the model is has been said; that it cannot run is what a script asks for.
            report.unsupported.map_or(Ok(()), |failure| Err(Stop::Failed(failure)))
        }
        other => Err(unexpected(&other)),
    }
}

/// The report, with the one field that programs ask for first.
fn for_programs(report: &ModelReport) -> Result<serde_json::Value, Stop> {
    let failed = |error| hearth_engine::Error::invalid("the output", error);
    let mut value = serde_json::to_value(report).map_err(failed)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("is_supported".to_owned(), report.unsupported.is_none().into());
    }
    Ok(value)
}

fn print(report: &ModelReport, output: &Output) -> Result<(), Stop> {
    let row = |name: &str, value: String| output.line(format!("{name:<13} {value}"));
    let layout = match report.layout {
        Layout::Safetensors => "safetensors",
        Layout::Gguf => "gguf",
    };
    row("model", format!("{} ({layout})", report.model))?;
    let about = &report.about;
    for (name, value) in [
        ("calls itself", &about.name),
        ("made by", &about.author),
        ("made from", &about.base_model),
        ("licence", &about.license),
    ] {
        if let Some(value) = value {
            row(name, value.clone())?;
        }
    }
    row("architecture", report.architecture.clone())?;
    row("parameters", format!("{} ({})", count(report.parameters), report.parameters))?;
    let weights = bytes(report.weights_bytes);
    let linear = format!("{:.2} in linear layers", report.linear_bits_per_weight);
    row("weights", format!("{weights}, {:.2} bits a weight, {linear}", report.bits_per_weight))?;
    if report.tasks.contains(&ModelTask::Embed) {
        row("made to", "turn texts into vectors".to_owned())?;
    }
    if let Some(tokens) = report.shape.context_tokens {
        row("made for", format!("{tokens} tokens of context"))?;
    }
    let sizes = sizes(report);
    if !sizes.is_empty() {
        row("sizes", sizes)?;
    }
    let tokens = report.tokenizer.tokens.or(report.shape.vocab_size);
    let tokens = tokens.map_or_else(String::new, |tokens| format!(", {tokens} tokens"));
    row("tokenizer", format!("{}{tokens}", report.tokenizer.kind))?;
    row("chat template", template(report))?;
    for file in &report.files {
        row("file", format!("{} ({})", file.name, bytes(file.bytes)))?;
    }
    print_formats(report, output)?;
    print_outlooks(report, output)?;
    if report.unsupported.is_some() {
        output.line("\nIt cannot run here.")?;
    }
    print_tensors(&report.tensors, output)
}

/// "22 layers, 32 heads (4 for keys and values) of 64, 2048 wide, feed-forward 5632".
fn sizes(report: &ModelReport) -> String {
    let shape = &report.shape;
    let mut parts = Vec::new();
    parts.extend(shape.layers.map(|layers| format!("{layers} layers")));
    if let Some(heads) = shape.heads {
        let shared = shape.kv_heads.filter(|kv_heads| *kv_heads != heads);
        let shared = shared.map_or_else(String::new, |kv_heads| format!(" ({kv_heads} for keys and values)"));
        let length = shape.head_dim.map_or_else(String::new, |length| format!(" of {length}"));
        parts.push(format!("{heads} heads{shared}{length}"));
    }
    parts.extend(shape.hidden.map(|hidden| format!("{hidden} wide")));
    parts.extend(shape.feed_forward.map(|width| format!("feed-forward {width}")));
    parts.join(", ")
}

fn template(report: &ModelReport) -> String {
    let Some(template) = report.template else {
        return "none; `chat` writes its turns as User: and Assistant:".to_owned();
    };
    let known = [
        (template.has_system, "standing instructions"),
        (template.has_tools, "tools"),
        (template.has_thinking, "thinking"),
    ];
    let known: Vec<&str> = known.into_iter().filter_map(|(has, name)| has.then_some(name)).collect();
    if known.is_empty() { "yes".to_owned() } else { format!("yes, with {}", known.join(", ")) }
}

fn print_formats(report: &ModelReport, output: &Output) -> Result<(), Stop> {
    output.line(format!("\n{:<9} {:>8} {:>12} {:>11}", "format", "tensors", "parameters", "size"))?;
    for format in &report.formats {
        let note = if format.is_supported { "" } else { "  not read by this engine" };
        let (name, tensors) = (&format.format, format.tensors);
        let (parameters, size) = (count(format.parameters), bytes(format.bytes));
        output.line(format!("{name:<9} {tensors:>8} {parameters:>12} {size:>11}{note}"))?;
    }
    Ok(())
}

fn print_outlooks(report: &ModelReport, output: &Output) -> Result<(), Stop> {
    if report.outlooks.is_empty() {
        return Ok(());
    }
    output.line(format!(
        "\n{:>9} {:>11} {:>11} {:>11} {:>11} {:>11}  fits",
        "context", "weights", "cache", "scratch", "other", "memory"
    ))?;
    for outlook in &report.outlooks {
        let plan = &outlook.memory;
        let [weights, cache, scratch, other, total] =
            [plan.weights_bytes, plan.cache_bytes, plan.scratch_bytes, plan.other_bytes, plan.total_bytes].map(bytes);
        let mark = if Some(plan.context_tokens) == report.context_tokens { "*" } else { " " };
        output.line(format!(
            "{:>8}{mark} {weights:>11} {cache:>11} {scratch:>11} {other:>11} {total:>11}  {}",
            plan.context_tokens,
            fits(outlook)
        ))?;
    }
    let chosen = report.outlooks.iter().find(|outlook| Some(outlook.memory.context_tokens) == report.context_tokens);
    if let Some(Outlook { cpu, gpu, .. }) = chosen {
        output.line(format!("\nOn the CPU: {}.", cpu.reason))?;
        let device = if gpu.device.is_empty() { String::new() } else { format!(" ({})", gpu.device) };
        output.line(format!("On the GPU{device}: {}.", gpu.reason))?;
    }
    Ok(())
}

fn fits(outlook: &Outlook) -> String {
    let word = |fit| match fit {
        Fit::Fits => "yes",
        Fit::TooLarge => "no",
        Fit::Unknown => "perhaps",
        Fit::NoDevice => "none",
    };
    format!("CPU {}, GPU {}", word(outlook.cpu.fit), word(outlook.gpu.fit))
}

fn print_tensors(tensors: &[TensorReport], output: &Output) -> Result<(), Stop> {
    if !tensors.is_empty() {
        output.line("")?;
    }
    let width = tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0);
    for TensorReport { name, shape, format, bytes: len_bytes } in tensors {
        let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
        let (shape, size) = (shape.join(" x "), bytes(*len_bytes));
        output.line(format!("{name:width$}  {shape:>14}  {format:<7} {size:>10}"))?;
    }
    Ok(())
}
