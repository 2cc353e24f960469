//! Search in documents, with the tiny encoders: what is found, what is refused, and that nothing is half there.

mod common;

use common::{Ran, run};
use hearth_engine::protocol::{DeviceChoice, EmbedRequest, Event, LoadRequest, Request, TextKind};
use hearth_host::{
    EngineHandle, HostOptions, ModelStore,
    documents::{AddedDocument, DocumentError, Encoder, Library, RESULTS_MAX, Source},
};
use tempfile::TempDir;

const BERT: &str = "tiny-bert";
const ROBERTA: &str = "tiny-roberta";
const QUESTION: &str = "Where did the ship go?";

fn fixture(name: &str) -> String {
    format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn engine() -> EngineHandle {
    let models = ModelStore::new([]).allow_paths(true);
    EngineHandle::start(HostOptions { threads: Some(1), gpu_allowed: false, ..HostOptions::new(models) }).unwrap()
}

fn load_request(model: &str) -> LoadRequest {
    LoadRequest { model: fixture(model), device: DeviceChoice::Cpu, ..LoadRequest::default() }
}

fn encoder(model: &str) -> Encoder {
    Encoder::load(engine(), load_request(model), |_, _| {}).unwrap()
}

fn library() -> (TempDir, Library) {
    let folder = tempfile::tempdir().unwrap();
    // The folder between is made with it.
    let library = Library::open(&folder.path().join("data/documents.sqlite")).unwrap();
    (folder, library)
}

fn source(name: &str, text: &str) -> Source {
    Source::read(name, text.as_bytes().to_vec()).unwrap()
}

fn add(library: &mut Library, source: &Source, encoder: &Encoder) -> AddedDocument {
    library.add(source, encoder, &mut |_| true).unwrap()
}

/// Some sections of more than the forty tokens that the tiny encoder reads, with letters of several bytes.
fn tale() -> Source {
    let paragraph = "The ship had left the harbour in the night – with it went the létters, the lanterns and two men. \
                     Nobody on the hill said a word of it until the morning came.\n\n";
    source(
        "tale.md",
        &format!(
            "# The sea\n\n{paragraph}{paragraph}## The hill\n\nA small fire kept the room warm.\n\n# Ende\n\nÜber den Hügeln!\n"
        ),
    )
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The vectors of texts, asked of an engine without any library.
fn vectors(texts: Vec<String>, kind: TextKind) -> Vec<Vec<f32>> {
    let engine = engine();
    let (_, loading) = engine.events(Request::Load(load_request(BERT)));
    assert!(matches!(loading.last(), Some(Event::Loaded(_))));
    // Refusing to cut shows that each chunk is read whole.
    let request = EmbedRequest {
        texts,
        kind: Some(kind),
        truncate: Some(false),
        normalize: Some(false),
        ..EmbedRequest::default()
    };
    let (_, events) = engine.events(Request::Embed(request));
    events
        .filter_map(|event| match event {
            Event::Embedding(embedding) => Some(embedding.vector),
            Event::Embedded(_) => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn the_ranking_is_that_of_a_direct_computation() {
    let (_folder, mut library) = library();
    let encoder = encoder(BERT);
    add(&mut library, &tale(), &encoder);
    add(&mut library, &source("fire.txt", "A small fire keeps the whole room warm."), &encoder);
    let all = library.search(QUESTION, RESULTS_MAX, &encoder).unwrap();
    let chunks: u32 = library.documents().unwrap().iter().map(|document| document.chunks).sum();
    assert!(all.len() == chunks as usize && chunks > 6, "{all:#?}");
    let read = |heading: &str, text: &str| if heading.is_empty() { text.into() } else { format!("{heading}\n{text}") };
    let texts: Vec<String> = all.iter().map(|passage| read(&passage.heading, &passage.text)).collect();
    let question = vectors(vec![QUESTION.to_owned()], TextKind::Query).remove(0);
    let scores: Vec<f64> = vectors(texts, TextKind::Document).iter().map(|vector| cosine(&question, vector)).collect();
    for (passage, score) in all.iter().zip(&scores) {
        // Stored at length 1, in F32.
        assert!((passage.score - score).abs() < 1e-6, "{score} {passage:?}");
    }
    assert!(all.is_sorted_by(|a, b| a.score >= b.score));
    for count in [1, 2, 5] {
        assert_eq!(library.search(QUESTION, count, &encoder).unwrap(), all[..count]);
    }
}

#[test]
fn a_passage_cites_its_place_in_characters() {
    let (_folder, mut library) = library();
    let encoder = encoder(BERT);
    let tale = tale();
    let document = add(&mut library, &tale, &encoder).document;
    let characters: Vec<char> = tale.text.chars().collect();
    assert_eq!(
        (document.characters, document.dimensions, document.model.as_str()),
        (characters.len() as u32, 60, BERT)
    );
    let passages = library.search("sea", RESULTS_MAX, &encoder).unwrap();
    for passage in &passages {
        let cited: String =
            characters[passage.characters.start as usize..passage.characters.end as usize].iter().collect();
        assert_eq!(cited, passage.text);
        assert_eq!((passage.document_id, passage.document.as_str()), (document.id, "tale.md"));
    }
    let under = |heading: &str| passages.iter().filter(|passage| passage.heading == heading).count();
    assert!(under("The sea") > 1);
    assert_eq!((under("The sea › The hill"), under("Ende")), (1, 1));
}

#[test]
fn an_addition_that_is_stopped_leaves_nothing() {
    let (folder, mut library) = library();
    let encoder = encoder(BERT);
    let tale = tale();
    let mut seen = Vec::new();
    let stopped = library.add(&tale, &encoder, &mut |progress| {
        seen.push((progress.done_chunks, progress.total_chunks));
        progress.done_chunks < 2
    });
    assert_eq!(stopped, Err(DocumentError::Cancelled));
    let total = seen[0].1;
    assert_eq!(seen, [(0, total), (1, total), (2, total)]);
    assert!(total > 3);
    // By its ticket, as another thread would. The engine cannot be done with so many before that.
    let long = source("long.md", &"# hill\n\nThe sea.\n\n".repeat(2000));
    let stopped = library.add(&long, &encoder, &mut |progress| {
        progress.ticket.cancel();
        true
    });
    assert_eq!(stopped, Err(DocumentError::Cancelled));
    let again = Library::open(&folder.path().join("data/documents.sqlite")).unwrap();
    for library in [&library, &again] {
        assert_eq!(library.documents().unwrap(), []);
        assert_eq!(library.search(QUESTION, 5, &encoder).unwrap(), []);
    }
    assert!(add(&mut library, &tale, &encoder).is_new);
    assert_eq!(again.documents().unwrap().len(), 1);
}

#[test]
fn the_same_bytes_again_do_nothing_and_a_removed_document_is_gone() {
    let (_folder, mut library) = library();
    let encoder = encoder(BERT);
    let first = add(&mut library, &tale(), &encoder);
    let renamed = Source { name: "other.md".into(), ..tale() };
    let again = library.add(&renamed, &encoder, &mut |_| panic!("nothing is embedded")).unwrap();
    assert!(first.is_new && !again.is_new);
    assert_eq!(first.document, again.document);
    let second = add(&mut library, &source("tale.md", "A tale of the same name."), &encoder).document;
    let ambiguous = library.remove("tale.md");
    assert_eq!(ambiguous, Err(DocumentError::NotOne { wanted: "tale.md".into(), count: 2 }));
    assert_eq!(library.remove(&first.document.id.to_string()).unwrap(), first.document);
    assert_eq!(library.documents().unwrap(), std::slice::from_ref(&second));
    assert!(library.search(QUESTION, 9, &encoder).unwrap().iter().all(|passage| passage.document_id == second.id));
    assert_eq!(library.remove("tale.md").unwrap().id, second.id);
    assert!(matches!(library.remove("tale.md"), Err(DocumentError::NotOne { count: 0, .. })));
    assert!(add(&mut library, &tale(), &encoder).document.id > second.id);
}

#[test]
fn vectors_of_another_model_are_not_compared_until_they_are_replaced() {
    let (_folder, mut library) = library();
    let (bert, roberta) = (encoder(BERT), encoder(ROBERTA));
    add(&mut library, &tale(), &bert);
    let refused = library.search(QUESTION, 5, &roberta).unwrap_err();
    let expected = DocumentError::OtherModel { documents: 1, stored: BERT.into(), chosen: ROBERTA.into() };
    assert_eq!(refused, expected);
    assert!(refused.hint().contains("hearth documents refresh"));
    assert!(add(&mut library, &tale(), &roberta).is_new);
    let documents = library.documents().unwrap();
    assert_eq!((documents.len(), documents[0].dimensions), (1, 32));
    let by_addition = library.search(QUESTION, 5, &roberta).unwrap();
    assert!(!by_addition.is_empty());
    assert!(matches!(library.search(QUESTION, 5, &bert), Err(DocumentError::OtherModel { .. })));
    // To one model and back without the file: the same passages with the same vectors.
    for (encoder, renewed) in [(&bert, 1), (&roberta, 1), (&roberta, 0)] {
        assert_eq!(library.refresh(encoder, &mut |_| true), Ok(renewed));
    }
    assert_eq!(library.search(QUESTION, 5, &roberta).unwrap(), by_addition);
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let (folder, library) = library();
    let encoder = encoder(BERT);
    for (question, results) in [(" ", 5), (QUESTION, 0), (QUESTION, RESULTS_MAX + 1)] {
        assert!(matches!(library.search(question, results, &encoder), Err(DocumentError::BadSearch { .. })));
    }
    let nothing = LoadRequest { model: String::new(), ..load_request(BERT) };
    assert_eq!(Encoder::load(engine(), nothing, |_, _| {}).err(), Some(DocumentError::NoEmbeddingModel));
    // A model that writes text makes no vectors.
    let decoder = Encoder::load(engine(), load_request("tiny-llama"), |_, _| {}).err();
    assert!(matches!(decoder, Some(DocumentError::Engine(_))), "{decoder:?}");
    let narrow = LoadRequest { context_tokens: Some(5), ..load_request(BERT) };
    let narrow = Encoder::load(engine(), narrow, |_, _| {}).err();
    assert_eq!(narrow, Some(DocumentError::ModelTooShort { model: BERT.into(), tokens_max: 5 }));
    let file = folder.path().join("no-database");
    std::fs::write(&file, "It was a dark and stormy night. ".repeat(200)).unwrap();
    assert!(matches!(Library::open(&file), Err(DocumentError::Database { .. })));
    assert_eq!(std::fs::read(&file).unwrap().len(), 6400);
}

fn documents(database: &str, args: &[&str]) -> Ran {
    run(&[&["documents", "--database", database], args].concat())
}

#[test]
fn the_command_line_adds_lists_finds_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (database, file, model) = (path("library.sqlite"), path("tale.md"), fixture(BERT));
    std::fs::write(&file, tale().text).unwrap();
    let added = documents(&database, &["add", &file, "--model", &model, "--json"]).done().json();
    assert_eq!((added["type"].as_str(), added["is_new"].as_bool()), (Some("added"), Some(true)));
    let again = documents(&database, &["add", &file, "--model", &model, "--json"]).done().json();
    assert_eq!(again["is_new"], false);
    let listed = documents(&database, &["list", "--json"]).done().json();
    assert_eq!(listed, added["document"]);
    assert_eq!((listed["name"].as_str(), listed["kind"].as_str()), (Some("tale.md"), Some("markdown")));
    let found = documents(&database, &["search", QUESTION, "-n", "2", "--model", &model, "--json"]).done().json_lines();
    assert_eq!(found.len(), 2);
    assert!(found[0]["score"].as_f64() >= found[1]["score"].as_f64());
    assert_eq!(found[0]["document"], "tale.md");
    let shown = documents(&database, &["search", QUESTION, "--model", &model]).done().stdout;
    assert!(shown.contains("tale.md · The sea") && shown.contains("characters"), "{shown}");
    let without = documents(&database, &["search", QUESTION]);
    assert!(without.code == Some(1) && without.stderr.contains("no embedding model"), "{}", without.stderr);
    let other = documents(&database, &["search", QUESTION, "--model", &fixture(ROBERTA)]);
    assert!(other.code == Some(1) && other.stderr.contains("hearth documents refresh"), "{}", other.stderr);
    let refreshed = documents(&database, &["refresh", "--model", &fixture(ROBERTA), "--json"]).done().json();
    assert_eq!((refreshed["documents"].as_u64(), refreshed["model"].as_str()), (Some(1), Some(ROBERTA)));
    documents(&database, &["search", QUESTION, "--model", &fixture(ROBERTA)]).done();
    let bad = path("bad.pdf");
    std::fs::write(&bad, b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>").unwrap();
    let bad = documents(&database, &["add", &bad, "--model", &model]);
    assert!(bad.code == Some(1) && bad.stderr.contains("cannot be read as PDF"), "{}", bad.stderr);
    // A place that takes no byte.
    #[cfg(target_os = "linux")]
    for place in ["/dev/full", "/proc/library.sqlite"] {
        let refused = documents(place, &["add", &file, "--model", &model]);
        assert!(
            refused.code == Some(1) && refused.stderr.contains("hint: Check the permissions"),
            "{}",
            refused.stderr
        );
    }
    documents(&database, &["remove", "tale.md"]).done();
    assert_eq!(documents(&database, &["list"]).done().stdout, "");
}
