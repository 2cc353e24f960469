//! `embed`: texts to vectors.

use std::io::{IsTerminal, Read};

use hearth_engine::{
    Error,
    protocol::{EmbedRequest, Embedding, Event, Request, TextKind},
};
use hearth_host::EngineHandle;

use crate::{
    args::{Embed, Global},
    chat::text_of,
    output::{Output, Stop},
    session::{load, request},
};

/// Numbers of a vector that a person is shown.
const SHOWN_NUMBERS: usize = 8;

/// The texts that were asked for. What is missing is said before any model is looked for.
pub fn texts(args: &Embed, global: &Global) -> Result<Vec<String>, Stop> {
    if global.model.is_none() {
        return Err(Stop::Usage(
            "an embedding model is needed, and none comes with Hearth: give the folder or the .gguf file of one \
             (all-MiniLM-L6-v2, bge, e5, gte, Qwen3-Embedding) with --model"
                .to_owned(),
        ));
    }
    let texts: Vec<String> = match &args.file {
        Some(path) if path.as_os_str() == "-" => lines(&read_input()?),
        Some(path) => {
            let name = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|error| Stop::io(&name, &error))?;
            lines(&String::from_utf8(bytes).map_err(|error| Error::malformed(&name, error))?)
        }
        None if args.texts.is_empty() && std::io::stdin().is_terminal() => Vec::new(),
        None if args.texts.is_empty() => lines(&read_input()?),
        None => args.texts.iter().map(|text| text_of(text)).collect::<Result<_, _>>()?,
    };
    if texts.is_empty() {
        return Err(Stop::Usage("there is no text: give some, a --file, or a pipe with one text a line".to_owned()));
    }
    Ok(texts)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

fn read_input() -> Result<String, Stop> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|error| Stop::io("the standard input", &error))?;
    Ok(text)
}

pub fn embed(
    engine: &EngineHandle,
    texts: Vec<String>,
    args: &Embed,
    global: &Global,
    output: &Output,
) -> Result<(), Stop> {
    load(engine, global, output)?;
    let shown = texts.clone();
    let count = texts.len();
    let kind = match (args.query, args.document) {
        (true, _) => Some(TextKind::Query),
        (_, true) => Some(TextKind::Document),
        _ => None,
    };
    let embedding = Request::Embed(EmbedRequest {
        texts,
        pooling: args.pooling.map(Into::into),
        normalize: Some(!args.no_normalize),
        truncate: Some(!args.no_truncate),
        kind,
        prompt: args.prompt.clone(),
    });
    let mut vectors = Vec::new();
    let last = request(engine, embedding, |event| match event {
        Event::Embedding(_) | Event::Embedded(_) if output.json => output.json(event),
        Event::Embedding(embedding) => {
            output.progress(&format!("Embedding … {} of {count} texts", embedding.index + 1));
            vectors.push(embedding.clone());
            Ok(())
        }
        _ => Ok(()),
    })?;
    output.end_progress();
    if output.json {
        return Ok(());
    }
    for (embedding, text) in vectors.iter().zip(&shown) {
        output.line(summary(embedding, text))?;
    }
    if vectors.len() > 1 {
        output.line("\ncosine similarity")?;
        for line in similarities(&vectors) {
            output.line(line)?;
        }
    }
    if let Event::Embedded(done) = last {
        output.remark(&format!("{} tokens · {:.0} ms · {}", done.tokens, done.elapsed_ms, done.adapter));
    }
    Ok(())
}

/// A text's line: how long its vector is, how it begins, and the text.
fn summary(embedding: &Embedding, text: &str) -> String {
    let Embedding { index, tokens, truncated, vector } = embedding;
    let numbers: Vec<String> = vector.iter().take(SHOWN_NUMBERS).map(|number| format!("{number:>8.4}")).collect();
    let more = if vector.len() > SHOWN_NUMBERS { " …" } else { "" };
    let cut = if *truncated { ", cut" } else { "" };
    let mut begin: String = text.chars().take(40).collect();
    if begin.len() < text.len() {
        begin.push('…');
    }
    format!("{index:>3}  {} dimensions, {tokens} tokens{cut}  {}{more}  {begin}", vector.len(), numbers.join(" "))
}

/// A line for each text: how near it is to each.
fn similarities(vectors: &[Embedding]) -> Vec<String> {
    let line = |a: &Embedding| {
        let numbers = vectors.iter().map(|b| format!(" {:>7.4}", cosine(&a.vector, &b.vector)));
        format!("{:>3} {}", a.index, numbers.collect::<String>())
    };
    vectors.iter().map(line).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_those_of_the_definition() {
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0);
        assert!((cosine(&[1.0, 0.0], &[-1.0, 1.0]) + 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
    }

    #[test]
    fn empty_lines_are_no_texts() {
        assert_eq!(lines("one\n\n  \ntwo\r\n"), ["one", "two"]);
    }
}
