//! `eval pairs`: minimal pairs, as those of BLiMP (Warstadt et al. 2020): of two sentences that differ in a word or two, the
//! model should find the good one likelier.

use std::path::{Path, PathBuf};

use hearth_engine::Error;
use hearth_host::ModelStore;
use serde::{Deserialize, Serialize};

use super::{Pairs, judge::Judge};
use crate::{
    args::Global,
    interrupt,
    output::{Output, Stop},
};

/// Tokens that a sentence may have.
pub const CONTEXT_TOKENS: u32 = 256;

#[derive(Deserialize)]
struct Pair {
    good: String,
    bad: String,
}

/// A file's pairs.
pub struct PairFile {
    name: String,
    pairs: Vec<Pair>,
}

/// Of one file, or of all.
#[derive(Clone, Debug, Serialize)]
pub struct PairScore {
    pub name: String,
    pub pairs: usize,
    /// The share of pairs whose good sentence is the likelier.
    pub accuracy: f64,
}

pub fn pairs(models: &ModelStore, args: &Pairs, global: &Global, output: &Output) -> Result<(), Stop> {
    let files = read(&args.pairs, args.limit)?;
    let mut judge = Judge::open(models, global.model.as_deref().unwrap_or_default(), CONTEXT_TOKENS, global, output)?;
    let scores = score(&mut judge, &files, output)?;
    if scores.is_empty() {
        return Ok(interrupt::check()?);
    }
    let mean = mean(&scores);
    if output.json {
        output.json(&serde_json::json!({ "accuracy": mean, "files": scores }))?;
        return Ok(interrupt::check()?);
    }
    for PairScore { name, pairs, accuracy } in &scores {
        output.line(format!("{:6.2} %  of {pairs:5}  {name}", 100.0 * accuracy))?;
    }
    output.line(format!("{:6.2} %  the mean of {} files", 100.0 * mean, scores.len()))?;
    Ok(interrupt::check()?)
}

/// The mean of the files, each of which counts the same.
pub fn mean(scores: &[PairScore]) -> f64 {
    scores.iter().map(|score| score.accuracy).sum::<f64>() / scores.len().max(1) as f64
}

/// The pairs of a file, or of each `.jsonl` file of a folder, in the order of their names.
pub fn read(path: &Path, limit: Option<u32>) -> Result<Vec<PairFile>, Stop> {
    let refused = |error: std::io::Error| Stop::io(path.display().to_string(), &error);
    let mut paths: Vec<PathBuf> = if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(refused)?;
        let all =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(refused)?;
        all.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).collect()
    } else {
        vec![path.to_owned()]
    };
    paths.sort();
    let files = paths.iter().map(|path| read_file(path, limit)).collect::<Result<Vec<_>, _>>()?;
    if files.iter().all(|file| file.pairs.is_empty()) {
        return Err(Error::invalid(
            path.display().to_string(),
            "holds no pairs: a line of them is {\"good\": …, \"bad\": …}",
        )
        .into());
    }
    Ok(files.into_iter().filter(|file| !file.pairs.is_empty()).collect())
}

fn read_file(path: &Path, limit: Option<u32>) -> Result<PairFile, Stop> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Stop::io(&name, &error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|error| Error::malformed(&name, format_args!("line {} is no pair: {error}", number + 1)))
    };
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let pairs = lines.take(limit).map(parse).collect::<Result<Vec<Pair>, _>>()?;
    let stem = path.file_stem().map_or_else(|| name.clone(), |stem| stem.to_string_lossy().into_owned());
    Ok(PairFile { name: stem, pairs })
}

/// Asks a model. A file of which it has not read all when the person wants it to end counts as if it were not there.
pub fn score(judge: &mut Judge, files: &[PairFile], output: &Output) -> Result<Vec<PairScore>, Stop> {
    let total: usize = files.iter().map(|file| file.pairs.len()).sum();
    let (mut scores, mut done) = (Vec::new(), 0);
    'files: for file in files {
        let mut right = 0;
        for pair in &file.pairs {
            if interrupt::check().is_err() {
                break 'files;
            }
            output.progress(&format!("{} reads pairs … {done} of {total}", judge.name));
            right += usize::from(likelihood(judge, &pair.good)? > likelihood(judge, &pair.bad)?);
            done += 1;
        }
        let accuracy = right as f64 / file.pairs.len().max(1) as f64;
        scores.push(PairScore { name: file.name.clone(), pairs: file.pairs.len(), accuracy });
    }
    output.end_progress();
    Ok(scores)
}

/// The logarithm of a sentence's likelihood. Its first token counts where the tokenizer puts one in front of it.
fn likelihood(judge: &mut Judge, sentence: &str) -> Result<f64, Stop> {
    let ids = judge.ids(sentence)?;
    Ok(-pollster::block_on(judge.session.score(&ids))?.nll_sum)
}
