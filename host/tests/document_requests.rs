//! Requests about documents, to an engine that keeps some: in the app's way, by paths, and in a server's, over a socket.

mod common;

use std::{path::Path, sync::mpsc};

use common::models_dir;
use futures_util::{SinkExt, StreamExt};
use hearth_engine::protocol::{
    AddDocument, AddedDocument, DeviceChoice, Document, DocumentContent, DocumentKind, DocumentList, DocumentProgress,
    DocumentStage, Event, EventEnvelope, Failure, FailureCode, FoundPassages, LoadRequest, Request, RequestEnvelope,
    SearchDocuments,
};
use hearth_host::{
    CONTENT_BYTES_MAX, DocumentOptions, EngineHandle, HostOptions, ModelStore,
    server::{ServerOptions, router, serve},
};
use tempfile::TempDir;
use tokio_tungstenite::{connect_async, tungstenite::Message};

const BERT: &str = "tiny-bert";
const TALE: &str = "# The sea\n\nThe ship had left the harbour in the night.\n\n## The hill\n\nA small fire kept the room \
                    warm.\n\n# Ende\n\nÜber den Hügeln!\n";

fn fixture(name: &str) -> String {
    format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A host that knows the bundled model and, if they are named, further ones, and keeps its documents in a folder.
fn host(data: &Path, added: &[&str], allows_paths: bool) -> EngineHandle {
    let models = ModelStore::new([models_dir()]).remember_in(data.join("models.json")).allow_adding(true);
    for name in added {
        models.add(&fixture(name)).unwrap();
    }
    let options = HostOptions { threads: Some(1), gpu_allowed: false, ..HostOptions::new(models.allow_adding(false)) };
    let documents = DocumentOptions { file: data.join("documents.sqlite"), allows_paths };
    EngineHandle::start_with(options, Some(documents)).unwrap()
}

fn data() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn ask(engine: &EngineHandle, request: Request) -> Vec<Event> {
    engine.events(request).1.collect()
}

fn last(engine: &EngineHandle, request: Request) -> Event {
    ask(engine, request).pop().unwrap()
}

fn failure(engine: &EngineHandle, request: Request) -> Failure {
    match last(engine, request) {
        Event::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn add(content: DocumentContent) -> Request {
    Request::AddDocument(AddDocument { content, model: None })
}

fn text(name: &str, text: &str) -> Request {
    add(DocumentContent::Text { name: name.to_owned(), text: text.to_owned() })
}

fn search(question: &str) -> Request {
    Request::SearchDocuments(SearchDocuments { question: question.to_owned(), results: 5, model: None })
}

fn list(engine: &EngineHandle) -> DocumentList {
    match last(engine, Request::Documents) {
        Event::Documents(list) => list,
        other => panic!("{other:?}"),
    }
}

fn added(engine: &EngineHandle, request: Request) -> Document {
    match last(engine, request) {
        Event::DocumentAdded(AddedDocument { document, .. }) => document,
        other => panic!("{other:?}"),
    }
}

fn found(engine: &EngineHandle, question: &str) -> FoundPassages {
    match last(engine, search(question)) {
        Event::Passages(found) => found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dropped_file_is_added_with_progress_and_found_with_its_place() {
    let data = data();
    let path = data.path().join("tale.md");
    std::fs::write(&path, TALE).unwrap();
    let engine = host(data.path(), &[BERT], true);
    let before = list(&engine);
    // Of the two models on the list, one writes text.
    assert_eq!((before.models, before.model), (vec![BERT.to_owned()], Some(BERT.to_owned())));
    assert!(before.documents.is_empty() && before.allows_paths && before.content_bytes_max == CONTENT_BYTES_MAX);

    let events = ask(&engine, add(DocumentContent::Path { path: path.to_str().unwrap().to_owned() }));
    let (end, progress) = events.split_last().unwrap();
    let told: Vec<DocumentProgress> = progress
        .iter()
        .map(|event| match event {
            Event::DocumentProgress(progress) => *progress,
            other => panic!("{other:?}"),
        })
        .collect();
    let Event::DocumentAdded(AddedDocument { is_new: true, document }) = end else { panic!("{end:?}") };
    let stages: Vec<DocumentStage> = told.iter().map(|progress| progress.stage).collect();
    assert_eq!(stages[..3], [DocumentStage::Reading, DocumentStage::LoadingModel, DocumentStage::Embedding]);
    let counts: Vec<u32> = told[2..].iter().map(|progress| progress.done_chunks).collect();
    assert_eq!(counts, (0..=document.chunks).collect::<Vec<_>>());
    assert_eq!((document.name.as_str(), document.kind, document.chunks), ("tale.md", DocumentKind::Markdown, 3));

    let FoundPassages { passages, model, elapsed_ms } = found(&engine, "Where did the ship go?");
    assert!(model == BERT && elapsed_ms > 0.0 && passages.len() == 3);
    assert!(passages.is_sorted_by(|a, b| a.score >= b.score));
    let characters: Vec<char> = TALE.chars().collect();
    for passage in &passages {
        let range = passage.characters.start as usize..passage.characters.end as usize;
        assert_eq!(characters[range].iter().collect::<String>(), passage.text);
        assert_eq!((passage.document_id, passage.document.as_str()), (document.id, "tale.md"));
    }
    assert!(passages.iter().any(|passage| passage.heading == "The sea › The hill"));

    assert_eq!(list(&engine).documents, std::slice::from_ref(document));
    let removed = last(&engine, Request::RemoveDocument { document: document.id });
    assert_eq!(removed, Event::DocumentRemoved { document: document.clone() });
    assert_eq!(found(&engine, "Where?").passages, []);
    assert_eq!(failure(&engine, Request::RemoveDocument { document: document.id }).code, FailureCode::InvalidRequest);
}

#[test]
fn bytes_and_texts_are_taken_in_within_bounds() {
    let data = data();
    let engine = host(data.path(), &[BERT], false);
    let bytes = |base64: String| add(DocumentContent::Bytes { name: "notes/a.txt".into(), base64 });
    let document = added(&engine, bytes(base64::encode("The ship had left the harbour.")));
    assert_eq!((document.name.as_str(), document.kind, document.characters), ("a.txt", DocumentKind::Text, 30));
    assert_eq!(added(&engine, text("b.md", TALE)).kind, DocumentKind::Markdown);

    // Nothing of this reaches a decoder.
    let large = "A".repeat((CONTENT_BYTES_MAX as usize + 6) / 3 * 4);
    let refusals = [
        (bytes(large), FailureCode::InvalidRequest, "at most"),
        (bytes("no Base64!".into()), FailureCode::InvalidRequest, "Base64"),
        (bytes(base64::encode([0xff, 0xfe, 0x00])), FailureCode::Malformed, "UTF-8"),
        (text("empty.txt", " \n"), FailureCode::Malformed, "no text"),
        (text("long.txt", &"a".repeat((8 << 20) + 1)), FailureCode::InvalidRequest, "at most"),
        (search("  "), FailureCode::InvalidRequest, "no question"),
    ];
    for (request, code, words) in refusals {
        let failure = failure(&engine, request);
        assert!(failure.code == code && failure.message.contains(words), "{failure:?}");
        assert!(!failure.hint.is_empty());
    }
    let path = add(DocumentContent::Path { path: fixture("tiny-bert/config.json") });
    assert_eq!(failure(&engine, path).code, FailureCode::NotAllowed);
    assert_eq!(list(&engine).documents.len(), 2);
}

#[test]
fn without_an_embedding_model_it_is_said_what_to_do() {
    let data = data();
    let engine = host(data.path(), &[], true);
    let nothing = list(&engine);
    assert_eq!((nothing.models, nothing.model), (vec![], None));
    for request in [text("tale.md", TALE), search("Where?")] {
        let failure = failure(&engine, request);
        assert_eq!(failure.code, FailureCode::NotLoaded);
        assert!(failure.hint.contains("all-MiniLM-L6-v2") && failure.hint.contains("hearth models add"), "{failure:?}");
    }
    // One that writes text does not do.
    let wrong = Request::SearchDocuments(SearchDocuments {
        question: "Where?".into(),
        results: 1,
        model: Some("hearth-tiny".into()),
    });
    assert_eq!(failure(&engine, wrong).code, FailureCode::WrongTask);
}

#[test]
fn the_newest_documents_model_is_taken_until_another_is_named() {
    let data = data();
    let engine = host(data.path(), &["tiny-roberta", BERT], false);
    assert_eq!(list(&engine).model.as_deref(), Some("tiny-roberta"));
    let content = DocumentContent::Text { name: "tale.md".into(), text: TALE.into() };
    let request = AddDocument { content: content.clone(), model: Some(BERT.into()) };
    assert_eq!(added(&engine, Request::AddDocument(request)).model, BERT);
    assert_eq!(list(&engine).model.as_deref(), Some(BERT));
    assert_eq!(found(&engine, "Where?").model, BERT);
    let other = SearchDocuments { question: "Where?".into(), results: 2, model: Some("tiny-roberta".into()) };
    let refused = failure(&engine, Request::SearchDocuments(other));
    assert!(refused.code == FailureCode::InvalidRequest && refused.hint.contains("hearth documents refresh"));
    let again = AddDocument { content, model: Some("tiny-roberta".into()) };
    assert_eq!(added(&engine, Request::AddDocument(again)).dimensions, 32);
    assert_eq!(found(&engine, "Where?").model, "tiny-roberta");
}

/// The stages that a request went through.
fn stages(engine: &EngineHandle, request: Request) -> Vec<DocumentStage> {
    let stage = |event: &Event| match event {
        Event::DocumentProgress(progress) => Some(progress.stage),
        _ => None,
    };
    ask(engine, request).iter().filter_map(stage).collect()
}

#[test]
fn another_model_embeds_anew_what_is_there_without_its_files() {
    let data = data();
    let engine = host(data.path(), &[BERT, "tiny-roberta", "tiny-qwen3-embedding"], false);
    let with = |model: &str| {
        Request::SearchDocuments(SearchDocuments {
            question: "Where did the ship go?".into(),
            results: 5,
            model: Some(model.into()),
        })
    };
    let first = added(&engine, text("tale.md", TALE));
    let second = added(&engine, text("b.txt", &"The sea and the ship. ".repeat(40)));
    for (model, dimensions) in [("tiny-roberta", 32), ("tiny-qwen3-embedding", 64), (BERT, 60)] {
        assert_eq!(failure(&engine, with(model)).code, FailureCode::InvalidRequest);
        let events = ask(&engine, Request::RefreshDocuments { model: Some(model.into()) });
        let Some((Event::Documents(list), before)) = events.split_last() else { panic!("{events:?}") };
        let counts: Vec<(u32, u32)> = before
            .iter()
            .filter_map(|event| match event {
                Event::DocumentProgress(DocumentProgress { done_chunks, total_chunks: total @ 1.., .. }) => {
                    Some((*done_chunks, *total))
                }
                _ => None,
            })
            .collect();
        assert!(counts.is_sorted() && counts.last().is_some_and(|(done, total)| done == total), "{counts:?}");
        let found: Vec<_> = list.documents.iter().map(|one| (one.id, one.name.as_str(), one.dimensions)).collect();
        assert_eq!(found, [(first.id, "tale.md", dimensions), (second.id, "b.txt", dimensions)]);
        assert!(list.documents.iter().all(|one| one.model == model && one.chunks > 0));
        assert_eq!((&list.documents[0].added_at, list.model.as_deref()), (&first.added_at, Some(model)));
        let Event::Passages(found) = last(&engine, with(model)) else { panic!("it can be searched") };
        let characters: Vec<char> = TALE.chars().collect();
        for passage in found.passages.iter().filter(|passage| passage.document == "tale.md") {
            let range = passage.characters.start as usize..passage.characters.end as usize;
            assert_eq!(characters[range].iter().collect::<String>(), passage.text);
        }
    }
    // Back at the first model the passages are what they were.
    let again = list(&engine).documents;
    assert_eq!(again.iter().map(|one| one.chunks).collect::<Vec<_>>(), [first.chunks, second.chunks]);
    // Nothing is left to do.
    let nothing = Request::RefreshDocuments { model: Some(BERT.into()) };
    assert!(!stages(&engine, nothing).contains(&DocumentStage::Embedding));
}

#[test]
fn a_stopped_renewal_keeps_what_is_done_and_goes_on_later() {
    let data = data();
    let engine = host(data.path(), &[BERT, "tiny-roberta"], false);
    // The second is so long that the wish to stop arrives before it is done, however fast the machine is.
    for (name, sentences) in [("a.txt", 40), ("b.txt", 2000)] {
        added(&engine, text(name, &format!("{name}. {}", "The sea and the ship. ".repeat(sentences))));
    }
    let chunks = list(&engine).documents[0].chunks;
    let refresh = || Request::RefreshDocuments { model: Some("tiny-roberta".into()) };
    let (ticket, events) = engine.events(refresh());
    let mut last_event = None;
    for event in events {
        // The first document is done, the second is not.
        if matches!(event, Event::DocumentProgress(progress) if progress.done_chunks > chunks) {
            ticket.cancel();
        }
        last_event = Some(event);
    }
    assert!(matches!(last_event, Some(Event::Failed(failure)) if failure.code == FailureCode::Cancelled));
    let models: Vec<String> = list(&engine).documents.into_iter().map(|document| document.model).collect();
    assert_eq!(models, ["tiny-roberta", BERT]);
    assert!(matches!(last(&engine, refresh()), Event::Documents(list) if list.documents[1].model == "tiny-roberta"));
}

#[test]
fn the_embedding_model_makes_room_when_a_chat_model_is_loaded() {
    let data = data();
    let engine = host(data.path(), &[BERT], true);
    added(&engine, text("tale.md", TALE));
    assert!(!stages(&engine, search("Where?")).contains(&DocumentStage::LoadingModel));
    let load = Request::Load(LoadRequest { device: DeviceChoice::Cpu, ..LoadRequest::default() });
    assert!(matches!(last(&engine, load), Event::Loaded(_)));
    assert!(stages(&engine, search("Where?")).contains(&DocumentStage::LoadingModel));
    assert!(!found(&engine, "Where did the ship go?").passages.is_empty());
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_document() {
    let data = data();
    let engine = host(data.path(), &[BERT], true);
    let path = data.path().join("pipe.txt");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let refused = failure(&engine, add(DocumentContent::Path { path: path.to_str().unwrap().to_owned() }));
    assert!(refused.code == FailureCode::Io && refused.message.contains("not a file"), "{refused:?}");
}

#[test]
fn a_stopped_addition_leaves_nothing_and_a_waiting_one_never_begins() {
    let data = data();
    let engine = host(data.path(), &[BERT], true);
    // The engine cannot be done with so many before it is stopped at the first.
    let (sender, receiver) = mpsc::channel();
    let long =
        engine.submit(text("long.md", &"# hill\n\nThe sea.\n\n".repeat(5000)), move |event| sender.send(event).is_ok());
    let (waiting, waiting_events) = engine.events(text("tale.md", TALE));
    waiting.cancel();
    let cancelled = |event: &Event| matches!(event, Event::Failed(failure) if failure.code == FailureCode::Cancelled);
    assert!(waiting_events.last().is_some_and(|event| cancelled(&event)));
    for event in &receiver {
        if matches!(event, Event::DocumentProgress(DocumentProgress { total_chunks: 1.., .. })) {
            long.cancel();
            break;
        }
    }
    assert!(receiver.iter().last().is_some_and(|event| cancelled(&event)));
    assert_eq!(list(&engine).documents, []);
    // The library is as good as before.
    assert_eq!(added(&engine, text("tale.md", TALE)).chunks, 3);
}

#[test]
fn a_chat_and_the_documents_do_not_disturb_each_other() {
    let data = data();
    let engine = host(data.path(), &[BERT], true);
    let load = Request::Load(LoadRequest { device: DeviceChoice::Cpu, ..LoadRequest::default() });
    assert!(matches!(last(&engine, load), Event::Loaded(_)));
    added(&engine, text("tale.md", TALE));
    // The chat's model is still the one that was loaded.
    assert!(engine.tokenize("Hello", false).is_ok_and(|tokens| !tokens.is_empty()));
    assert!(matches!(last(&engine, Request::Unload), Event::Unloaded));
    assert!(!found(&engine, "Where?").passages.is_empty());
}

#[test]
fn an_engine_without_a_library_says_where_there_is_one() {
    let options =
        HostOptions { threads: Some(1), gpu_allowed: false, ..HostOptions::new(ModelStore::new([models_dir()])) };
    let engine = EngineHandle::start(options).unwrap();
    for request in [Request::Documents, text("a.txt", "a"), Request::RemoveDocument { document: 1 }, search("Where?")] {
        let failure = failure(&engine, request);
        assert_eq!(failure.code, FailureCode::NoLibrary);
        assert!(failure.hint.contains("hearth serve"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_page_adds_searches_and_removes_over_a_socket_but_names_no_path() {
    let data = data();
    let engine = host(data.path(), &[BERT], false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/v1/link", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, router(engine, ServerOptions::default()), std::future::pending()));
    let mut socket = connect_async(&url).await.unwrap().0;
    let mut id = 0;
    let mut ask = async |request: Request| -> Vec<Event> {
        id += 1;
        let envelope = serde_json::to_string(&RequestEnvelope { id, request }).unwrap();
        socket.send(Message::text(envelope)).await.unwrap();
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Event| !event.is_terminal()) {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                let envelope: EventEnvelope = serde_json::from_str(&text).unwrap();
                assert_eq!(envelope.id, id);
                events.push(envelope.event);
            }
        }
        events
    };
    // As large as is allowed: the socket carries it whole. Each of its lines is a paragraph of a character.
    let mut large = vec![b'\n'; CONTENT_BYTES_MAX as usize];
    large[0] = b'x';
    let bytes = add(DocumentContent::Bytes { name: "large.txt".into(), base64: base64::encode(large) });
    let refused = ask(bytes).await;
    assert!(
        matches!(refused.last(), Some(Event::Failed(failure)) if failure.message.contains("a text in bytes")),
        "{refused:?}"
    );
    let events = ask(text("tale.md", TALE)).await;
    assert!(matches!(events.first(), Some(Event::DocumentProgress(_))), "{events:?}");
    let Some(Event::DocumentAdded(AddedDocument { document, .. })) = events.last() else { panic!("{events:?}") };
    let events = ask(search("Where did the ship go?")).await;
    assert!(matches!(events.last(), Some(Event::Passages(found)) if found.passages.len() == 3), "{events:?}");
    let path = ask(add(DocumentContent::Path { path: fixture("tiny-bert/config.json") })).await;
    assert!(matches!(path.last(), Some(Event::Failed(failure)) if failure.code == FailureCode::NotAllowed), "{path:?}");
    let events = ask(Request::RemoveDocument { document: document.id }).await;
    assert!(matches!(events.last(), Some(Event::DocumentRemoved { .. })), "{events:?}");
}
