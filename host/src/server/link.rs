//! The protocol over a WebSocket: one JSON envelope a message, both ways.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use hearth_engine::{
    Error,
    protocol::{Event, EventEnvelope, Failure, RequestEnvelope},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at},
};

use crate::Client;

/// Serves one connection until either side ends it; then everything it asked for is stopped.
pub(super) async fn run(socket: WebSocket, client: Client, ping_every: Duration) {
    let (mut sink, mut stream) = socket.split();
    // Unbounded, because the engine must not wait for a slow reader; an answer's length bounds it.
    let (events, mut outgoing) = mpsc::unbounded_channel::<EventEnvelope>();
    let mut ping = interval_at(Instant::now() + ping_every, ping_every);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_silent = false;
    loop {
        tokio::select! {
            // What the client says comes first: it may be a request to stop, or the sign that it is still there.
            biased;
            message = stream.next() => {
                is_silent = false;
                match message {
                    Some(Ok(Message::Text(text))) => match read(&text) {
                        Ok(envelope) => {
                            let events = events.clone();
                            client.send(envelope, move |event| events.send(event).is_ok());
                        }
                        Err(Unreadable::Request { id, failure }) => {
                            // The receiver is in this function.
                            let _ = events.send(EventEnvelope { id, event: Event::Failed(failure) });
                        }
                        Err(Unreadable::Envelope) => {
                            close(&mut sink, close_code::INVALID, "a message is not a request envelope").await;
                            break;
                        }
                    },
                    Some(Ok(Message::Binary(_))) => {
                        close(&mut sink, close_code::UNSUPPORTED, "messages are text").await;
                        break;
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_))) | None => break,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a link was lost");
                        break;
                    }
                }
            }
            Some(envelope) = outgoing.recv() => {
                if send(&mut sink, &envelope).await.is_err() {
                    break;
                }
            }
            _ = ping.tick() => {
                if is_silent || sink.send(Message::Ping(Vec::new().into())).await.is_err() {
                    break;
                }
                is_silent = true;
            }
        }
    }
}

/// What came instead of a request.
enum Unreadable {
    /// Its number can be read, so the answer finds whoever sent it.
    Request { id: u32, failure: Failure },
    /// Nobody knows whom to answer.
    Envelope,
}

fn read(text: &str) -> Result<RequestEnvelope, Unreadable> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        id: u32,
    }
    serde_json::from_str(text).map_err(|error| match serde_json::from_str(text) {
        Ok(Numbered { id }) => {
            let failure =
                Failure::from(&Error::invalid("the request", format!("is not one of this protocol: {error}")));
            Unreadable::Request { id, failure }
        }
        Err(_) => Unreadable::Envelope,
    })
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, envelope: &EventEnvelope) -> Result<(), axum::Error> {
    let text = serde_json::to_string(envelope).map_err(axum::Error::new)?;
    sink.send(Message::Text(text.into())).await
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: reason.into() };
    // The connection ends here either way.
    let _ = sink.send(Message::Close(Some(frame))).await;
}
