//! The server: its files, its manners, and the engine behind a WebSocket.

mod common;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request as HttpRequest, StatusCode},
};
use common::{MODEL, models_dir};
use futures_util::{SinkExt, StreamExt};
use hearth_engine::protocol::{
    DeviceChoice, Event, EventEnvelope, FailureCode, GenerateRequest, InspectRequest, LoadRequest, Prompt, Request,
    RequestEnvelope, Sampling, StopReason,
};
use hearth_host::{
    EngineHandle, HostOptions, ModelStore,
    server::{AllowedNames, CONTENT_SECURITY_POLICY, ServerOptions, router, serve},
};
use tempfile::TempDir;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message, client::IntoClientRequest, error::Error as SocketError, protocol::frame::coding::CloseCode,
    },
};
use tower::ServiceExt;

fn engine() -> EngineHandle {
    let models = ModelStore::new([models_dir()]);
    EngineHandle::start(HostOptions { threads: Some(2), gpu_allowed: false, ..HostOptions::new(models) }).unwrap()
}

/// An interface of a page and a module.
fn interface() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<!doctype html><title>Hearth</title>").unwrap();
    std::fs::create_dir(folder.path().join("assets")).unwrap();
    std::fs::write(folder.path().join("assets/engine.wasm"), b"\0asm").unwrap();
    std::fs::write(folder.path().join("assets/main.js"), "export {};").unwrap();
    folder
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Asks for a path, with further headers.
async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = HttpRequest::builder().method(method).uri(path);
    if headers.iter().all(|(name, _)| *name != "host") {
        request = request.header("host", "127.0.0.1:11500");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(router: &Router, path: &str) -> Answer {
    ask(router, "GET", path, &[]).await
}

#[tokio::test]
async fn the_interface_is_served_with_its_policy() {
    let ui = interface();
    let router = router(engine(), ServerOptions { ui_dir: Some(ui.path().to_owned()), ..ServerOptions::default() });
    for (path, kind) in [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/assets/engine.wasm", "application/wasm"),
        ("/assets/main.js", "text/javascript"),
    ] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.header("content-type").starts_with(kind), "{path}: {}", answer.header("content-type"));
        assert_eq!(answer.header("content-security-policy"), CONTENT_SECURITY_POLICY, "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-embedder-policy"), "require-corp", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    for path in ["/absent.js", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/assets/..%2f..%2fCargo.toml"] {
        assert_eq!(get(&router, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn an_interface_that_is_not_built_is_explained() {
    let empty = tempfile::tempdir().unwrap();
    for ui_dir in [None, Some(empty.path().to_owned())] {
        let router = router(engine(), ServerOptions { ui_dir, ..ServerOptions::default() });
        let answer = get(&router, "/").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.contains("not built") && text.contains("--ui"), "{text}");
        assert_eq!(get(&router, "/healthz").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn models_are_served_in_ranges() {
    let router = router(engine(), ServerOptions::default());
    let config = std::fs::read(models_dir().join(MODEL).join("config.json")).unwrap();
    let path = format!("/models/{MODEL}/config.json");
    let whole = get(&router, &path).await;
    assert_eq!((whole.status, &whole.body), (StatusCode::OK, &config));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-type"), "application/json");

    let part = ask(&router, "GET", &path, &[("range", "bytes=2-9")]).await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &config[2..10]));
    assert_eq!(part.header("content-range"), format!("bytes 2-9/{}", config.len()));
    let rest = ask(&router, "GET", &path, &[("range", "bytes=100-")]).await;
    assert_eq!((rest.status, rest.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &config[100..]));
    let beyond = ask(&router, "GET", &path, &[("range", "bytes=9999999-")]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", config.len()));

    let head = ask(&router, "HEAD", &path, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), config.len().to_string());

    let registry: serde_json::Value =
        serde_json::from_slice(&get(&router, "/models/registry.json").await.body).unwrap();
    assert_eq!(registry["bundled"], MODEL);
}

#[tokio::test]
async fn nothing_but_models_leaves_the_models_folder() {
    let ui = interface();
    let router = router(engine(), ServerOptions { ui_dir: Some(ui.path().to_owned()), ..ServerOptions::default() });
    let attempts = [
        format!("/models/{MODEL}/../registry.json"),
        format!("/models/{MODEL}/..%2fregistry.json"),
        format!("/models/{MODEL}/%2e%2e%2f%2e%2e%2fCargo.toml"),
        format!("/models/{MODEL}/..%5cregistry.json"),
        format!("/models/{MODEL}/training/train.py"),
        format!("/models/{MODEL}/training"),
        format!("/models/{MODEL}/"),
        format!("/models/{MODEL}"),
        format!("/models/{MODEL}/absent.json"),
        "/models/..%2fhost/Cargo.toml".to_owned(),
        "/models/%2e%2e/Cargo.toml".to_owned(),
        "/models/%2fetc/hostname".to_owned(),
        "/models/hearth-enormous/config.json".to_owned(),
        "/models/".to_owned(),
    ];
    for path in attempts {
        assert_eq!(get(&router, &path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn only_this_machine_and_its_own_pages_may_ask() {
    let router = router(engine(), ServerOptions::default());
    let status = async |headers: &[(&str, &str)]| ask(&router, "GET", "/healthz", headers).await.status;
    assert_eq!(status(&[("host", "localhost:11500")]).await, StatusCode::OK);
    assert_eq!(status(&[("host", "[::1]:11500")]).await, StatusCode::OK);
    let own = ("origin", "http://127.0.0.1:11500");
    assert_eq!(status(&[own]).await, StatusCode::OK);
    for host in ["evil.example", "evil.example:11500", "localhost.evil.example", "192.168.0.9:11500", "", "a b"] {
        assert_eq!(status(&[("host", host)]).await, StatusCode::FORBIDDEN, "{host:?}");
    }
    for origin in ["https://evil.example", "http://127.0.0.1:8000", "null"] {
        assert_eq!(status(&[("origin", origin)]).await, StatusCode::FORBIDDEN, "{origin:?}");
    }
    let refused = ask(&router, "GET", "/", &[("host", "evil.example")]).await;
    assert_eq!(refused.header("content-security-policy"), CONTENT_SECURITY_POLICY);
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// A running server; it ends with the test.
struct Running {
    url: String,
}

impl Running {
    async fn start(options: ServerOptions) -> Self {
        Self::serve(engine(), options).await
    }

    async fn serve(engine: EngineHandle, options: ServerOptions) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/link", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, router(engine, options), std::future::pending()));
        Self { url }
    }

    async fn connect(&self) -> Socket {
        connect_async(&self.url).await.unwrap().0
    }
}

async fn send(socket: &mut Socket, id: u32, request: Request) {
    let text = serde_json::to_string(&RequestEnvelope { id, request }).unwrap();
    socket.send(Message::text(text)).await.unwrap();
}

/// The next event that `is_wanted`.
async fn wait(socket: &mut Socket, is_wanted: impl Fn(&Event) -> bool) -> EventEnvelope {
    loop {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            let envelope: EventEnvelope = serde_json::from_str(&text).unwrap();
            if is_wanted(&envelope.event) {
                return envelope;
            }
        }
    }
}

fn load() -> Request {
    Request::Load(LoadRequest { device: DeviceChoice::Cpu, ..LoadRequest::default() })
}

fn generate(max_tokens: u32) -> Request {
    Request::Generate(GenerateRequest {
        prompt: Prompt::Text { text: "Once upon a time".into() },
        max_tokens: Some(max_tokens),
        sampling: Sampling::greedy(),
        ..GenerateRequest::default()
    })
}

#[tokio::test]
async fn a_link_carries_requests_and_events() {
    let server = Running::start(ServerOptions::default()).await;
    let mut socket = server.connect().await;
    send(&mut socket, 5, Request::Probe).await;
    send(&mut socket, 6, load()).await;
    assert_eq!(wait(&mut socket, |event| matches!(event, Event::Probed(_))).await.id, 5);
    assert_eq!(wait(&mut socket, |event| matches!(event, Event::Loaded(_))).await.id, 6);
    send(&mut socket, 7, generate(3)).await;
    let done = wait(&mut socket, Event::is_terminal).await;
    assert!(done.id == 7 && matches!(done.event, Event::Done(_)), "{done:?}");

    send(&mut socket, 8, generate(1900)).await;
    wait(&mut socket, |event| matches!(event, Event::Token { .. })).await;
    send(&mut socket, 9, Request::Cancel { target: 8 }).await;
    let done = wait(&mut socket, |event| matches!(event, Event::Done(_))).await;
    assert!(matches!(done.event, Event::Done(done) if done.stop_reason == StopReason::Cancelled));

    // A path is not a name.
    let path = models_dir().join(MODEL).to_str().unwrap().to_owned();
    send(&mut socket, 10, Request::Load(LoadRequest { model: path, ..LoadRequest::default() })).await;
    let failed = wait(&mut socket, Event::is_terminal).await;
    assert!(matches!(failed.event, Event::Failed(failure) if failure.code == FailureCode::UnknownModel));
}

#[tokio::test]
async fn a_client_sees_the_models_but_brings_and_removes_none() {
    let data = tempfile::tempdir().unwrap();
    let path = models_dir().join(MODEL).to_str().unwrap().to_owned();
    // As at the person's own terminal, where one model was added.
    let own = ModelStore::new([models_dir()]).remember_in(data.path().join("models.json")).allow_adding(true);
    let added = own.add(&path).unwrap();
    let models = own.clone().allow_paths(false).allow_adding(false);
    let engine = EngineHandle::start(HostOptions { gpu_allowed: false, ..HostOptions::new(models) }).unwrap();
    let server = Running::serve(engine, ServerOptions::default()).await;
    let mut socket = server.connect().await;

    send(&mut socket, 1, Request::Models).await;
    match wait(&mut socket, Event::is_terminal).await.event {
        Event::Models(list) => {
            assert!(!list.can_add);
            assert!(list.models.iter().any(|model| model.name == added && model.is_added));
            assert!(list.models.iter().all(|model| model.place.is_none()), "where models lie is not told");
        }
        other => panic!("{other:?}"),
    }
    for (id, request) in
        [(2, Request::AddModel { path: path.clone() }), (3, Request::RemoveModel { model: added.clone() })]
    {
        send(&mut socket, id, request).await;
        let failed = wait(&mut socket, Event::is_terminal).await;
        assert!(matches!(failed.event, Event::Failed(failure) if failure.code == FailureCode::NotAllowed));
    }
    send(&mut socket, 4, Request::Inspect(InspectRequest { model: path, ..InspectRequest::default() })).await;
    let failed = wait(&mut socket, Event::is_terminal).await;
    assert!(matches!(failed.event, Event::Failed(failure) if failure.code == FailureCode::UnknownModel));
    send(&mut socket, 5, Request::Inspect(InspectRequest { model: added.clone(), ..InspectRequest::default() })).await;
    assert!(matches!(wait(&mut socket, Event::is_terminal).await.event, Event::Inspected(_)));
    assert!(own.list().unwrap().models.iter().any(|model| model.name == added), "nothing was removed");
}

#[tokio::test]
async fn a_link_that_closes_stops_its_requests() {
    let server = Running::start(ServerOptions::default()).await;
    let mut leaving = server.connect().await;
    send(&mut leaving, 1, load()).await;
    // Many long answers: were they not stopped, nobody else would have a turn for minutes.
    for id in 2..40 {
        send(&mut leaving, id, generate(1900)).await;
    }
    wait(&mut leaving, |event| matches!(event, Event::Token { .. })).await;
    leaving.close(None).await.unwrap();
    let mut staying = server.connect().await;
    send(&mut staying, 1, generate(2)).await;
    let done = wait(&mut staying, Event::is_terminal).await;
    assert!(matches!(done.event, Event::Done(done) if done.tokens <= 2));
}

#[tokio::test]
async fn what_is_not_of_the_protocol_is_refused() {
    let server = Running::start(ServerOptions { message_bytes_max: 1000, ..ServerOptions::default() }).await;
    let mut socket = server.connect().await;
    // Its number can be read, so the link goes on.
    socket.send(Message::text(r#"{"id": 3, "request": {"type": "sing"}}"#)).await.unwrap();
    let failed = wait(&mut socket, Event::is_terminal).await;
    assert_eq!(failed.id, 3);
    assert!(matches!(failed.event, Event::Failed(failure) if failure.code == FailureCode::InvalidRequest));

    for message in [Message::text("{}"), Message::text("not JSON"), Message::binary(vec![1, 2, 3])] {
        let mut socket = server.connect().await;
        socket.send(message.clone()).await.unwrap();
        let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else { panic!("{message:?} was taken") };
        assert!(matches!(frame.code, CloseCode::Invalid | CloseCode::Unsupported), "{frame:?}");
    }

    // Longer than is read: the link is cut, and the server goes on.
    let mut socket = server.connect().await;
    let _ = socket.send(Message::text("x".repeat(5000))).await;
    let end = socket.next().await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    let mut socket = server.connect().await;
    send(&mut socket, 1, Request::Probe).await;
    assert!(matches!(wait(&mut socket, Event::is_terminal).await.event, Event::Probed(_)));
}

#[tokio::test]
async fn a_silent_client_is_asked_whether_it_is_there() {
    let options = ServerOptions { ping_every: Duration::from_millis(100), ..ServerOptions::default() };
    let server = Running::start(options).await;
    let mut socket = server.connect().await;
    assert!(matches!(socket.next().await.unwrap().unwrap(), Message::Ping(_)));
    // Reading answers the ping, so the next one comes.
    assert!(matches!(socket.next().await.unwrap().unwrap(), Message::Ping(_)));
}

#[tokio::test]
async fn a_page_from_elsewhere_gets_no_link() {
    let origins = vec!["http://127.0.0.1:1420".to_owned()];
    let allowed = AllowedNames { origins, ..AllowedNames::default() };
    let server = Running::start(ServerOptions { allowed, ..ServerOptions::default() }).await;
    let connect = async |origin: &str| {
        let mut request = server.url.as_str().into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        connect_async(request).await
    };
    let own = server.url.replace("ws://", "http://").replace("/v1/link", "");
    assert!(connect(&own).await.is_ok());
    assert!(connect("http://127.0.0.1:1420").await.is_ok());
    let refused = connect("https://evil.example").await;
    assert!(matches!(refused, Err(SocketError::Http(response)) if response.status() == StatusCode::FORBIDDEN));
}
