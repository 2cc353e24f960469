//! Vectors of another model for documents that are there: their text is put together again from their passages, cut to
//! that model's measure, and embedded.

use std::ops::Range;

use hearth_engine::protocol::Document;

use super::{
    encoder::{EmbedProgress, Encoder},
    error::{DocumentError, Result},
    library::{Library, prepare, stored_chunks},
    source::{Section, Source},
    store::{KeptChunk, VectorModel},
};

impl Library {
    /// Gives every document vectors of the encoder's model, one document after the other: what is done stays done,
    /// however this ends. Returns how many had others. `progress` returns false to stop; it counts the passages that
    /// there were.
    pub fn refresh(&mut self, encoder: &Encoder, progress: &mut dyn FnMut(EmbedProgress<'_>) -> bool) -> Result<u64> {
        let (name, weights_bytes) = (encoder.loaded().model.clone(), encoder.loaded().weights_bytes);
        let strangers = self.store.strangers(&name, weights_bytes)?;
        let total_chunks = strangers.iter().map(|document| document.chunks as usize).sum();
        let mut before = 0;
        for document in &strangers {
            let source = put_together(document, &self.store.kept_chunks(document.id)?)?;
            let (chunks, texts) = prepare(&source, encoder)?;
            let own = document.chunks as usize;
            let vectors = encoder.embed_chunks(texts, &mut |of_one| {
                let done_chunks = before + own * of_one.done_chunks / of_one.total_chunks.max(1);
                progress(EmbedProgress { done_chunks, total_chunks, ticket: of_one.ticket })
            })?;
            let dimensions = vectors.first().map_or(0, Vec::len) as u32;
            let model = VectorModel { name: name.clone(), weights_bytes, dimensions };
            self.store.replace_chunks(document.id, &model, &stored_chunks(&source, chunks, vectors))?;
            before += own;
        }
        Ok(strangers.len() as u64)
    }
}

/// A document as it was read, as far as its passages hold it: between them stand line ends. Passages that follow each
/// other under one heading are one section.
fn put_together(document: &Document, kept: &[KeptChunk]) -> Result<Source> {
    let damaged = || DocumentError::Database {
        file: document.name.clone(),
        reason: "its passages do not fit the length of its text".to_owned(),
    };
    let mut characters = vec!['\n'; document.characters as usize];
    let mut sections: Vec<(String, Range<usize>)> = Vec::new();
    for chunk in kept {
        let range = chunk.characters.start as usize..chunk.characters.end as usize;
        let place = characters.get_mut(range.clone()).ok_or_else(damaged)?;
        if chunk.text.chars().count() != place.len() {
            return Err(damaged());
        }
        place.iter_mut().zip(chunk.text.chars()).for_each(|(place, character)| *place = character);
        match sections.last_mut() {
            Some((heading, section)) if *heading == chunk.heading => section.end = section.end.max(range.end),
            _ => sections.push((chunk.heading.clone(), range)),
        }
    }
    let text: String = characters.iter().collect();
    let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
    bytes.push(text.len());
    let byte = |character: usize| bytes.get(character).copied().unwrap_or(text.len());
    let sections = sections
        .into_iter()
        .map(|(heading, range)| Section { heading, range: byte(range.start)..byte(range.end) })
        .collect();
    // Nobody asks for the hash of what is there already.
    Ok(Source { name: document.name.clone(), kind: document.kind, hash: [0; 32], text, sections })
}

#[cfg(test)]
mod tests {
    use hearth_engine::protocol::{DocumentKind, PassageRange};

    use super::*;

    fn document(characters: u32) -> Document {
        Document {
            id: 1,
            name: "a.md".into(),
            kind: DocumentKind::Markdown,
            characters,
            chunks: 3,
            added_at: String::new(),
            model: "a".into(),
            dimensions: 4,
        }
    }

    fn kept(heading: &str, start: u32, text: &str) -> KeptChunk {
        let end = start + text.chars().count() as u32;
        KeptChunk { heading: heading.into(), characters: PassageRange { start, end }, text: text.into() }
    }

    #[test]
    fn passages_that_overlap_become_the_text_they_were_cut_from() {
        let chunks = [kept("One", 2, "äb cd"), kept("One", 5, "cd ef"), kept("Two", 14, "gh")];
        let source = put_together(&document(17), &chunks).unwrap();
        assert_eq!(source.text, "\n\näb cd ef\n\n\n\ngh\n");
        let sections: Vec<(&str, &str)> =
            source.sections.iter().map(|part| (part.heading.as_str(), &source.text[part.range.clone()])).collect();
        assert_eq!(sections, [("One", "äb cd ef"), ("Two", "gh")]);
    }

    #[test]
    fn passages_beyond_the_text_are_refused() {
        for (characters, chunk) in [(3, kept("", 2, "ab")), (9, KeptChunk { text: "abc".into(), ..kept("", 2, "ab") })]
        {
            assert!(matches!(put_together(&document(characters), &[chunk]), Err(DocumentError::Database { .. })));
        }
    }
}
