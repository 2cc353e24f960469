//! `documents`: add, list, remove, search.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hearth_engine::protocol::Event;
use hearth_host::{
    EngineHandle,
    documents::{DocumentError, Encoder, Library, Passage, Source},
};
use serde_json::json;

use crate::{
    args::Global,
    interrupt::Interruptible,
    output::{Output, Stop},
};

#[derive(Args)]
pub struct Documents {
    /// The database file [default: in the app's data folder; HEARTH_DATA names another folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub database: Option<PathBuf>,
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand)]
pub enum Action {
    /// Add text, Markdown or PDF files; --model names the embedding model
    Add {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the documents
    List,
    /// Remove a document
    Remove {
        /// Its number or its name
        #[arg(value_name = "NUMBER|NAME")]
        document: String,
    },
    /// Give all documents vectors of the embedding model that --model names, from the texts that are kept
    Refresh,
    /// Find the passages nearest to a question; --model names the embedding model
    Search {
        /// The question
        question: String,
        /// How many passages
        #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        results: u32,
    },
}

impl From<DocumentError> for Stop {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Cancelled => Self::Interrupted,
            error => Self::Failed((&error).into()),
        }
    }
}

/// Answers the command. `start` starts an engine, for the actions that need one.
pub fn documents(
    args: &Documents,
    global: &Global,
    output: &Output,
    start: impl FnOnce() -> Result<EngineHandle, Stop>,
) -> Result<(), Stop> {
    let Some(file) = args.database.clone().or_else(Library::usual_file) else {
        return Err(Stop::Usage("this system names no folder for the data of apps: give a --database".to_owned()));
    };
    match &args.action {
        Action::Add { files } => add(&file, files, global, output, start),
        Action::List => list(&file, output),
        Action::Remove { document } => {
            let removed = Library::open(&file)?.remove(document)?;
            if output.json {
                return output.json(&json!({ "type": "removed", "document": removed }));
            }
            output.line(format!("removed {} {}", removed.id, removed.name))
        }
        Action::Refresh => {
            let mut library = Library::open(&file)?;
            let encoder = load(global, output, start)?;
            let mut interruptible = None;
            let refreshed = library.refresh(&encoder, &mut |progress| {
                interruptible.get_or_insert_with(|| Interruptible::new(progress.ticket.clone()));
                let (done, total) = (progress.done_chunks, progress.total_chunks);
                output.progress(&format!("Embedding … {done} of {total} passages"));
                true
            });
            output.end_progress();
            let (documents, model) = (refreshed?, &encoder.loaded().model);
            if output.json {
                return output.json(&json!({ "type": "refreshed", "documents": documents, "model": model }));
            }
            output.line(format!("{documents} documents have vectors of {model} now"))
        }
        Action::Search { question, results } => {
            let library = Library::open(&file)?;
            let encoder = load(global, output, start)?;
            let passages = library.search(question, *results as usize, &encoder)?;
            show(&passages, output)
        }
    }
}

fn load(global: &Global, output: &Output, start: impl FnOnce() -> Result<EngineHandle, Stop>) -> Result<Encoder, Stop> {
    if global.model.is_none() {
        return Err(DocumentError::NoEmbeddingModel.into());
    }
    let mut interruptible = None;
    let encoder = Encoder::load(start()?, global.load(), |ticket, event| {
        interruptible.get_or_insert_with(|| Interruptible::new(ticket.clone()));
        if let Event::Loading(_) = event {
            output.progress("Loading the embedding model …");
        }
    });
    output.end_progress();
    Ok(encoder?)
}

fn add(
    file: &Path,
    files: &[PathBuf],
    global: &Global,
    output: &Output,
    start: impl FnOnce() -> Result<EngineHandle, Stop>,
) -> Result<(), Stop> {
    let mut library = Library::open(file)?;
    let encoder = load(global, output, start)?;
    for path in files {
        let source = Source::open(path)?;
        let mut interruptible = None;
        let added = library.add(&source, &encoder, &mut |progress| {
            interruptible.get_or_insert_with(|| Interruptible::new(progress.ticket.clone()));
            let (done, total) = (progress.done_chunks, progress.total_chunks);
            output.progress(&format!("{} … {done} of {total} passages", source.name));
            true
        });
        output.end_progress();
        let added = added?;
        let document = &added.document;
        if output.json {
            output.json(&json!({ "type": "added", "is_new": added.is_new, "document": document }))?;
        } else if added.is_new {
            output.line(format!("added {} {}: {} passages", document.id, document.name, document.chunks))?;
        } else {
            output.line(format!("{} {} is there already", document.id, document.name))?;
        }
    }
    Ok(())
}

fn list(file: &Path, output: &Output) -> Result<(), Stop> {
    for document in Library::open(file)?.documents()? {
        if output.json {
            output.json(&document)?;
        } else {
            let hearth_host::documents::Document { id, name, chunks, model, added_at, .. } = document;
            output.line(format!("{id:>4}  {name}  {chunks} passages  {model}  {added_at}"))?;
        }
    }
    Ok(())
}

fn show(passages: &[Passage], output: &Output) -> Result<(), Stop> {
    for (place, passage) in passages.iter().enumerate() {
        if output.json {
            output.json(passage)?;
            continue;
        }
        let Passage { score, document, heading, characters, text, .. } = passage;
        let heading = if heading.is_empty() { String::new() } else { format!(" · {heading}") };
        output.line(format!(
            "{}. {document}{heading} · characters {} to {} · {score:.3}\n",
            place + 1,
            characters.start,
            characters.end
        ))?;
        for line in text.lines() {
            output.line(format!("    {line}"))?;
        }
        output.line("")?;
    }
    Ok(())
}
