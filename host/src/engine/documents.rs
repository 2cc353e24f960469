//! The thread that answers requests about documents.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use hearth_engine::{
    Error,
    file::survey_model,
    model::EmbedderConfig,
    protocol::{
        AddDocument, DeviceChoice, DocumentContent, DocumentList, DocumentProgress, DocumentStage, Event, Failure,
        FoundPassages, LoadRequest, Request, SearchDocuments,
    },
    runtime::Cancellations,
};

use super::{
    EngineHandle, HostOptions,
    queue::{Pause, Queue, Work},
    stopped,
    thread::{Emitter, STACK_BYTES, guarded},
};
use crate::{
    DiskFolder, FoundModel,
    documents::{DocumentError, Encoder, Library, Result, Source, TEXT_BYTES_MAX},
};

/// The most bytes of a document that a request may carry: what a person waits for gladly over a slow transport.
pub const CONTENT_BYTES_MAX: u32 = 16 << 20;
/// An embedding model that nobody has asked anything of for so long is let go.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);
/// The longest name of a document that is kept.
const NAME_CHARS_MAX: usize = 200;

/// Where documents are kept, and who may name their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentOptions {
    /// The database, which need not be there yet.
    pub file: PathBuf,
    /// Whether requests may add documents by their path. A library behind a server must not allow it.
    pub allows_paths: bool,
}

/// Whether a request is this thread's to answer.
pub(super) fn is_about(request: &Request) -> bool {
    matches!(
        request,
        Request::Documents
            | Request::AddDocument(_)
            | Request::RemoveDocument { .. }
            | Request::RefreshDocuments { .. }
            | Request::SearchDocuments(_)
    )
}

pub(super) fn spawn(queue: Arc<Queue>, host: HostOptions, options: DocumentOptions) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("hearth-documents".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        let cancellations = Cancellations::default();
        queue.set_cancellations(cancellations.clone());
        let mut desk = Desk { host, options, library: None, engine: None, encoder: None, known: Vec::new() };
        loop {
            let (id, work) = match queue.next_within(IDLE_MAX) {
                Ok(next) => next,
                Err(Pause::Idle) => {
                    desk.rest();
                    queue.set_holding(false);
                    continue;
                }
                Err(Pause::Closed) => return,
            };
            let Work::Request { request, emit } = work else {
                queue.finish(id);
                continue;
            };
            let mut emitter = Emitter::new(emit);
            let outcome = guarded(|| {
                let mut client = Client { emitter: &mut emitter, cancellations: &cancellations, id };
                desk.answer(request, &mut client)
            });
            match &outcome {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => desk.let_go(error),
                Err(_) => desk.forget(),
            }
            queue.set_holding(desk.engine.is_some());
            // Still the current request: a client that is told of the end may at once ask for more.
            queue.finish(id);
            match outcome {
                Ok(Ok(event)) => {
                    let _ = guarded(|| emitter.emit(event));
                }
                Ok(Err(error)) => {
                    tracing::info!(id, %error, "a request about documents failed");
                    emitter.end(Failure::from(&error));
                    continue;
                }
                Err(_) => {}
            }
            emitter.end(stopped("it did not say how the request ended"));
        }
    })
}

/// Whoever asked.
struct Client<'a> {
    emitter: &'a mut Emitter,
    cancellations: &'a Cancellations,
    id: u32,
}

impl Client<'_> {
    /// Tells how far it is. Returns false if it shall stop.
    fn tell(&mut self, stage: DocumentStage, done_chunks: usize, total_chunks: usize) -> bool {
        let (done_chunks, total_chunks) = (done_chunks as u32, total_chunks as u32);
        let progress = DocumentProgress { stage, done_chunks, total_chunks };
        self.emitter.emit(Event::DocumentProgress(progress)) && !self.is_stopped()
    }

    fn is_stopped(&self) -> bool {
        self.cancellations.is_requested(self.id)
    }

    /// Goes on, unless it shall stop.
    fn begin(&mut self, stage: DocumentStage) -> Result<()> {
        if self.tell(stage, 0, 0) { Ok(()) } else { Err(DocumentError::Cancelled) }
    }
}

/// The library, and the engine that makes its vectors.
struct Desk {
    host: HostOptions,
    options: DocumentOptions,
    library: Option<Library>,
    /// Started with the first document or question.
    engine: Option<EngineHandle>,
    /// What it holds, and from where.
    encoder: Option<(FoundModel, Encoder)>,
    /// Models that were looked at, and whether each makes vectors.
    known: Vec<(FoundModel, bool)>,
}

impl Desk {
    fn answer(&mut self, request: Request, client: &mut Client<'_>) -> Result<Event> {
        match request {
            Request::Documents => self.list().map(Event::Documents),
            Request::AddDocument(request) => self.add(request, client),
            Request::RemoveDocument { document } => {
                let document = self.library()?.remove_number(document)?;
                Ok(Event::DocumentRemoved { document })
            }
            Request::RefreshDocuments { model } => self.refresh(model, client).map(Event::Documents),
            Request::SearchDocuments(request) => self.search(&request, client).map(Event::Passages),
            _ => Err(engine_error(&Error::NoLibrary)),
        }
    }

    fn list(&mut self) -> Result<DocumentList> {
        let documents = self.library()?.documents()?;
        let models = self.models()?;
        let newest = documents.last().map(|document| document.model.clone());
        let model = newest.filter(|model| models.contains(model)).or_else(|| models.first().cloned());
        let allows_paths = self.options.allows_paths;
        Ok(DocumentList { documents, models, model, allows_paths, content_bytes_max: CONTENT_BYTES_MAX })
    }

    fn add(&mut self, request: AddDocument, client: &mut Client<'_>) -> Result<Event> {
        client.begin(DocumentStage::Reading)?;
        let source = self.read(request.content, client)?;
        self.load(request.model, client)?;
        self.library()?;
        let (Some(library), Some((_, encoder))) = (&mut self.library, &self.encoder) else {
            return Err(DocumentError::NoEmbeddingModel);
        };
        let added = library.add(&source, encoder, &mut |progress| {
            client.tell(DocumentStage::Embedding, progress.done_chunks, progress.total_chunks)
        })?;
        Ok(Event::DocumentAdded(added))
    }

    /// Gives all documents vectors of one model.
    fn refresh(&mut self, model: Option<String>, client: &mut Client<'_>) -> Result<DocumentList> {
        self.load(model, client)?;
        self.library()?;
        let (Some(library), Some((_, encoder))) = (&mut self.library, &self.encoder) else {
            return Err(DocumentError::NoEmbeddingModel);
        };
        library.refresh(encoder, &mut |progress| {
            client.tell(DocumentStage::Embedding, progress.done_chunks, progress.total_chunks)
        })?;
        self.list()
    }

    fn search(&mut self, request: &SearchDocuments, client: &mut Client<'_>) -> Result<FoundPassages> {
        let started = Instant::now();
        self.load(request.model.clone(), client)?;
        client.begin(DocumentStage::Embedding)?;
        self.library()?;
        let (Some(library), Some((_, encoder))) = (&self.library, &self.encoder) else {
            return Err(DocumentError::NoEmbeddingModel);
        };
        let passages = library.search(&request.question, request.results as usize, encoder)?;
        if client.is_stopped() {
            return Err(DocumentError::Cancelled);
        }
        let elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
        Ok(FoundPassages { passages, model: encoder.loaded().model.clone(), elapsed_ms })
    }

    /// The document's text, from wherever it is.
    fn read(&self, content: DocumentContent, client: &Client<'_>) -> Result<Source> {
        let is_stopped = &mut || client.is_stopped();
        match content {
            DocumentContent::Path { path } if self.options.allows_paths => {
                let path = Path::new(&path);
                // A pipe would wait for somebody who writes, and a stop cannot end that.
                if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
                    let file = path.display().to_string();
                    return Err(DocumentError::Io { file, reason: "it is not a file".to_owned() });
                }
                Source::open_until(path, is_stopped)
            }
            DocumentContent::Path { .. } => Err(DocumentError::PathNotAllowed),
            DocumentContent::Text { name, text } => {
                let name = plain_name(&name);
                refuse_more_than(&name, text.len(), TEXT_BYTES_MAX)?;
                Source::read_until(&name, text.into_bytes(), is_stopped)
            }
            DocumentContent::Bytes { name, base64 } => {
                let name = plain_name(&name);
                refuse_more_than(&name, base64.len() / 4 * 3, CONTENT_BYTES_MAX as usize + 3)?;
                let bytes = base64::decode(base64)
                    .map_err(|error| DocumentError::BadBase64 { name: name.clone(), reason: error.to_string() })?;
                Source::read_until(&name, bytes, is_stopped)
            }
        }
    }

    /// Makes a model ready, unless it is.
    fn load(&mut self, wanted: Option<String>, client: &mut Client<'_>) -> Result<()> {
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => self.list()?.model.ok_or(DocumentError::NoEmbeddingModel)?,
        };
        let found = self.host.models.find(&wanted).map_err(|error| engine_error(&error))?;
        if self.encoder.as_ref().is_some_and(|(loaded, _)| *loaded == found) {
            return Ok(());
        }
        client.begin(DocumentStage::LoadingModel)?;
        self.encoder = None;
        let request =
            LoadRequest { model: wanted, device: DeviceChoice::Auto, context_tokens: None, ..LoadRequest::default() };
        let encoder = Encoder::load(self.engine()?, request, |ticket, _| {
            if client.is_stopped() {
                ticket.cancel();
            }
        })?;
        self.encoder = Some((found, encoder));
        Ok(())
    }

    /// The models on the list that make vectors. One that cannot be read makes none; asking for it says why.
    fn models(&mut self) -> Result<Vec<String>> {
        let list = self.host.models.list().map_err(|error| engine_error(&error))?;
        let mut names = Vec::new();
        for model in list.models.into_iter().filter(|model| !model.is_missing) {
            let Ok(found) = self.host.models.find(&model.name) else { continue };
            let known = self.known.iter().find(|(known, _)| *known == found).map(|(_, embeds)| *embeds);
            let embeds = known.unwrap_or_else(|| {
                let embeds = makes_vectors(&found);
                self.known.push((found, embeds));
                embeds
            });
            if embeds {
                names.push(model.name);
            }
        }
        Ok(names)
    }

    fn library(&mut self) -> Result<&mut Library> {
        let library = match self.library.take() {
            Some(library) => library,
            None => Library::open(&self.options.file)?,
        };
        Ok(self.library.insert(library))
    }

    fn engine(&mut self) -> Result<EngineHandle> {
        let engine = match self.engine.take() {
            Some(engine) => engine,
            None => EngineHandle::start(self.host.clone()).map_err(|error| DocumentError::Io {
                file: "the engine's thread".to_owned(),
                reason: error.to_string(),
            })?,
        };
        Ok(self.engine.insert(engine).clone())
    }

    /// Lets go of what an error may have broken: it is opened or loaded anew.
    fn let_go(&mut self, error: &DocumentError) {
        match error {
            DocumentError::Database { .. } => self.library = None,
            DocumentError::Engine(_) | DocumentError::NoEmbeddingModel => {
                self.encoder = None;
                self.engine = None;
            }
            _ => {}
        }
    }

    /// Frees the memory of the embedding model, which comes back with the next document or question.
    fn rest(&mut self) {
        self.encoder = None;
        self.engine = None;
    }

    /// After a panic nothing is certain.
    fn forget(&mut self) {
        self.library = None;
        self.rest();
    }
}

/// Whether a model is made for vectors, by its headers.
fn makes_vectors(found: &FoundModel) -> bool {
    let folder = DiskFolder::new(found.folder.clone());
    let opened = pollster::block_on(survey_model(&folder, found.file.as_deref()));
    opened.and_then(|opened| EmbedderConfig::find(&opened)).is_ok_and(|config| config.is_some())
}

fn engine_error(error: &Error) -> DocumentError {
    DocumentError::Engine(Failure::from(error))
}

fn refuse_more_than(name: &str, found: usize, most: usize) -> Result<()> {
    if found <= most {
        return Ok(());
    }
    Err(DocumentError::TooLarge {
        name: name.to_owned(),
        what: "a size in bytes",
        found: found as u64,
        most: most as u64,
    })
}

/// A name for people: without folders and signs that no name has, and not longer than a line.
fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|character| !character.is_control()).collect();
    // What is cut away is in the middle: the ending says what the document is written in.
    let characters: Vec<char> = plain.trim().chars().collect();
    match characters.len() {
        0 => "document".to_owned(),
        count if count > NAME_CHARS_MAX => {
            let half = NAME_CHARS_MAX / 2;
            let (start, end) = (characters.iter().take(half), characters.iter().skip(count - half));
            start.chain(std::iter::once(&'…')).chain(end).collect()
        }
        _ => characters.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_ending_and_lose_their_folders() {
        for (name, plain) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/notes.md", "notes.md"),
            ("C:\\papers\\a.txt", "a.txt"),
            (" \u{7}a\nb.txt ", "ab.txt"),
            ("folder/", "document"),
        ] {
            assert_eq!(plain_name(name), plain);
        }
        let long = plain_name(&format!("{}.pdf", "ä".repeat(5000)));
        assert!(long.ends_with("ä.pdf") && long.chars().count() == NAME_CHARS_MAX + 1, "{long}");
    }
}
