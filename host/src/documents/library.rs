//! Documents in, passages out.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    path::{Path, PathBuf},
};

use hearth_engine::protocol::{AddedDocument, Document, Passage, PassageRange};

use super::{
    chunks::{Chunk, chunks},
    encoder::{EmbedProgress, Encoder},
    error::{DocumentError, Result},
    source::Source,
    store::{NewDocument, Store, StoredChunk, VectorModel},
};

/// The most passages that a search gives.
pub const RESULTS_MAX: usize = 100;
/// Of the tokens that an encoder reads, so many parts are one part for the headings.
const HEADING_PART: usize = 4;

/// Documents in one database file.
pub struct Library {
    pub(super) store: Store,
}

impl Library {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { store: Store::open(path)? })
    }

    /// Where the app keeps its documents: `HEARTH_DATA`, or the system's folder for the data of apps.
    pub fn usual_file() -> Option<PathBuf> {
        let chosen = std::env::var_os("HEARTH_DATA").map(PathBuf::from);
        let folder = chosen.or_else(|| Some(dirs::data_dir()?.join("org.hearth.Hearth")))?;
        Some(folder.join("documents.sqlite"))
    }

    /// Adds a document: all of it, or nothing of it. The same bytes again do nothing, unless the vectors that are there
    /// are another model's: those are replaced. `progress` returns false to stop.
    pub fn add(
        &mut self,
        source: &Source,
        encoder: &Encoder,
        progress: &mut dyn FnMut(EmbedProgress<'_>) -> bool,
    ) -> Result<AddedDocument> {
        let name = &encoder.loaded().model;
        let weights_bytes = encoder.loaded().weights_bytes;
        if let Some((document, stored)) = self.store.find(&source.hash)?
            && stored.name == *name
            && stored.weights_bytes == weights_bytes
        {
            return Ok(AddedDocument { is_new: false, document });
        }
        let (chunks, texts) = prepare(source, encoder)?;
        let vectors = encoder.embed_chunks(texts, progress)?;
        let dimensions = vectors.first().map_or(0, Vec::len) as u32;
        let stored = stored_chunks(source, chunks, vectors);
        let model = VectorModel { name: name.clone(), weights_bytes, dimensions };
        self.store.insert(&NewDocument {
            name: &source.name,
            kind: source.kind,
            hash: source.hash,
            characters: source.text.chars().count() as u32,
            added_at: jiff::Timestamp::now().to_string(),
            model: &model,
            chunks: &stored,
        })?;
        let found = self.store.find(&source.hash)?;
        let gone = || DocumentError::NotOne { wanted: source.name.clone(), count: 0 };
        found.map(|(document, _)| AddedDocument { is_new: true, document }).ok_or_else(gone)
    }

    /// All documents, in the order in which they were added.
    pub fn documents(&self) -> Result<Vec<Document>> {
        self.store.documents()
    }

    /// Takes a document away, by its number or by a name that is its alone.
    pub fn remove(&mut self, wanted: &str) -> Result<Document> {
        let documents = self.store.documents()?;
        let number = wanted.parse::<i64>().ok();
        let by_number = documents.iter().find(|document| Some(document.id) == number);
        let named: Vec<&Document> = documents.iter().filter(|document| document.name == wanted).collect();
        let id = match (by_number, named.as_slice()) {
            (Some(document), _) => document.id,
            (None, [document]) => document.id,
            (None, named) => return Err(DocumentError::NotOne { wanted: wanted.to_owned(), count: named.len() }),
        };
        self.remove_number(id)
    }

    /// Takes a document away by its number alone.
    pub fn remove_number(&mut self, id: i64) -> Result<Document> {
        let found = self.store.documents()?.into_iter().find(|document| document.id == id);
        match found {
            Some(document) if self.store.remove(id)? => Ok(document),
            _ => Err(DocumentError::NotOne { wanted: id.to_string(), count: 0 }),
        }
    }

    /// The passages nearest to a question, best first: exact cosines over all chunks. Of two equal ones, the one that
    /// was added first is first.
    pub fn search(&self, question: &str, results: usize, encoder: &Encoder) -> Result<Vec<Passage>> {
        let refused = |reason: &str| Err(DocumentError::BadSearch { reason: reason.to_owned() });
        if question.trim().is_empty() {
            return refused("there is no question");
        }
        if !(1..=RESULTS_MAX).contains(&results) {
            return refused("the number of passages is not from 1 to 100");
        }
        let vector = encoder.embed_question(question)?;
        let model = VectorModel {
            name: encoder.loaded().model.clone(),
            weights_bytes: encoder.loaded().weights_bytes,
            dimensions: vector.len() as u32,
        };
        let _reading = self.store.begin_reading()?;
        if let Some((stored, documents)) = self.store.other_model(&model)? {
            return Err(DocumentError::OtherModel { documents, stored, chosen: model.name });
        }
        // The worst of the best is on top, and goes when a better one comes.
        let mut best = BinaryHeap::new();
        self.store.visit_vectors(vector.len(), &mut |chunk_id, candidate| {
            best.push(Hit { score: cosine(&vector, candidate), chunk_id });
            if best.len() > results {
                best.pop();
            }
        })?;
        best.into_sorted_vec().iter().map(|hit| self.store.passage(hit.chunk_id, hit.score)).collect()
    }
}

/// A document's chunks, and what the encoder reads of each: the headings that lead to it, then its text.
pub(super) fn prepare(source: &Source, encoder: &Encoder) -> Result<(Vec<Chunk>, Vec<String>)> {
    let tokens_max = encoder.passage_tokens_max();
    let line = |heading: &str| if heading.is_empty() { String::new() } else { format!("{heading}\n") };
    let mut heading_tokens = 0;
    for section in &source.sections {
        let tokens = encoder.count_tokens(&line(&section.heading))?;
        // One that leaves no room for the text is not read.
        if tokens <= tokens_max / HEADING_PART {
            heading_tokens = heading_tokens.max(tokens);
        }
    }
    let chunks =
        chunks(&source.text, &source.sections, tokens_max - heading_tokens, &mut |text| encoder.count_tokens(text))?;
    if chunks.is_empty() {
        return Err(DocumentError::Empty { name: source.name.clone() });
    }
    let mut texts = Vec::with_capacity(chunks.len());
    for chunk in &chunks {
        let text = source.text.get(chunk.range.clone()).unwrap_or_default();
        let heading = line(&chunk.heading);
        let is_read = encoder.count_tokens(&heading)? <= heading_tokens;
        texts.push(if is_read { heading + text } else { text.to_owned() });
    }
    Ok((chunks, texts))
}

/// Chunks with their vectors, as they are stored.
pub(super) fn stored_chunks(source: &Source, chunks: Vec<Chunk>, vectors: Vec<Vec<f32>>) -> Vec<StoredChunk> {
    let mut characters = CharacterCounter::new(&source.text);
    let chunks = chunks.into_iter().zip(vectors).map(|(chunk, vector)| StoredChunk {
        characters: PassageRange {
            start: characters.before(chunk.range.start) as u32,
            end: characters.before(chunk.range.end) as u32,
        },
        text: source.text.get(chunk.range).unwrap_or_default().to_owned(),
        heading: chunk.heading,
        vector,
    });
    chunks.collect()
}

/// Characters before a byte, for bytes that mostly ascend.
struct CharacterCounter<'a> {
    text: &'a str,
    byte: usize,
    characters: usize,
}

impl<'a> CharacterCounter<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, byte: 0, characters: 0 }
    }

    fn before(&mut self, byte: usize) -> usize {
        let between = |range| self.text.get(range).map_or(0, |part: &str| part.chars().count());
        if byte >= self.byte {
            self.characters += between(self.byte..byte);
        } else {
            // Chunks overlap, so it is never far back.
            self.characters -= between(byte..self.byte);
        }
        self.byte = byte;
        self.characters
    }
}

/// A chunk that may be among the best. Greater is worse.
struct Hit {
    score: f64,
    chunk_id: i64,
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.chunk_id.cmp(&other.chunk_id))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hit {}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    let cosine = if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 };
    // A damaged number is near to nothing.
    if cosine.is_finite() { cosine } else { -1.0 }
}
