//! `eval perplexity`: how well a model predicts a text.

use std::time::Instant;

use hearth_engine::{Error, tensor::KvFormat};
use hearth_host::EngineHandle;

use super::Perplexity;
use crate::{
    args::Global,
    output::{Output, Stop},
    session::load_with,
};

pub fn perplexity(engine: &EngineHandle, args: &Perplexity, global: &Global, output: &Output) -> Result<(), Stop> {
    let name = args.text.display().to_string();
    let bytes = std::fs::read(&args.text).map_err(|error| Stop::io(&name, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| Error::malformed(&name, error))?;
    load_with(engine, global, global.kv_cache(KvFormat::F32), output)?;
    let started = Instant::now();
    let shown = *output;
    let score = engine.score(&text, args.window, move |done, total| {
        shown.progress(&format!("Scoring … {done} of {total} tokens"));
    })?;
    output.end_progress();
    if score.tokens == 0 {
        return Err(Error::invalid("the text", "is too short: it needs two tokens or more").into());
    }
    #[allow(clippy::cast_precision_loss, reason = "a text has fewer tokens than a double has integers")]
    let nll_mean = score.nll_sum / score.tokens as f64;
    let perplexity = nll_mean.exp();
    if output.json {
        return output.json(&serde_json::json!({
            "tokens": score.tokens,
            "nll_mean": nll_mean,
            "perplexity": perplexity,
        }));
    }
    output.remark(&format!("{:.1} s", started.elapsed().as_secs_f64()));
    output.line(format!("tokens      {}", score.tokens))?;
    output.line(format!("nll mean    {nll_mean:.4}"))?;
    output.line(format!("perplexity  {perplexity:.3}"))
}
