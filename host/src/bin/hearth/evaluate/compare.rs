//! `eval compare`: how far a model's predictions lie from a reference's.

use std::time::Instant;

use hearth_engine::decode::Divergence;
use hearth_host::ModelStore;

use super::{Compare, judge::Judge};
use crate::{
    args::Global,
    output::{Output, Stop},
};

pub fn compare(models: &ModelStore, args: &Compare, global: &Global, output: &Output) -> Result<(), Stop> {
    let started = Instant::now();
    let context = args.passage.window;
    let mut reference = Judge::open_reference(models, &args.reference, context, global, output)?;
    let mut model = Judge::open(models, global.model.as_deref().unwrap_or_default(), context, global, output)?;
    let windows = reference.windows(&args.passage)?;
    let found = diverge(&mut reference, &mut model, &windows, output)?;
    if output.json {
        return output.json(&report(&found));
    }
    output.remark(&format!("{:.1} s", started.elapsed().as_secs_f64()));
    let (percent, beside) = (|share: f64| format!("{:.2} %", 100.0 * share), args.reference.as_str());
    output.line(format!("positions        {}", found.kl.len()))?;
    output.line(format!(
        "KL divergence    {:.5} nats (half below {:.5}, 99 % below {:.5}, at most {:.5})",
        found.kl_mean(),
        found.kl_quantile(0.5),
        found.kl_quantile(0.99),
        found.kl_quantile(1.0)
    ))?;
    output.line(format!("same first       {}", percent(found.top_agreement())))?;
    let (own, others) = (found.perplexity(), found.reference_perplexity());
    output
        .line(format!("perplexity       {own:.3}, {others:.3} of {beside}: {:+.2} %", 100.0 * (own / others - 1.0)))?;
    let (own, others) = (percent(found.accuracy()), percent(found.reference_accuracy()));
    output.line(format!("first is right   {own}, {others} of {beside}"))
}

/// Both models' predictions, window after window.
pub fn diverge(
    reference: &mut Judge,
    model: &mut Judge,
    windows: &[Vec<u32>],
    output: &Output,
) -> Result<Divergence, Stop> {
    reference.check_alike(model)?;
    let vocab = reference.session.config().vocab_size as usize;
    let total: usize = windows.iter().map(Vec::len).sum();
    let (mut found, mut done) = (Divergence::default(), 0);
    for ids in windows {
        output.progress(&format!("Comparing {} … {done} of {total} tokens", model.name));
        let expected = pollster::block_on(reference.session.logits(ids))?;
        let logits = pollster::block_on(model.session.logits(ids))?;
        found.add(&expected, &logits, vocab, ids);
        done += ids.len();
    }
    output.end_progress();
    Ok(found)
}

/// For programs.
pub fn report(found: &Divergence) -> serde_json::Value {
    serde_json::json!({
        "positions": found.kl.len(),
        "kl_mean": found.kl_mean(),
        "kl_median": found.kl_quantile(0.5),
        "kl_p99": found.kl_quantile(0.99),
        "kl_max": found.kl_quantile(1.0),
        "top_agreement": found.top_agreement(),
        "perplexity": found.perplexity(),
        "reference_perplexity": found.reference_perplexity(),
        "accuracy": found.accuracy(),
        "reference_accuracy": found.reference_accuracy(),
    })
}
