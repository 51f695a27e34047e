//! A console's WebSocket: `graphql-transport-ws`, subscriptions alone.
//!
//! It lives as long as the session that it was opened with, which is asked for again every few seconds,
//! and at once when somebody signs out or is changed through this desk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_graphql::http::{
    ClientMessage, WebSocket as Conversation, WebSocketProtocols, WsMessage,
};
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::{SinkExt, Stream, StreamExt};
use http::request::Parts;

use crate::desk::Desk;
use crate::desk::callers::{Credential, Reader, Who};
use crate::desk::problem::{Kind, Refusal};
use crate::ledger::Right;

const PROTOCOL: &str = "graphql-transport-ws";
/// Bytes of a message: a subscription's text.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Bytes that wait of what a console does not take yet.
const UNSENT_BYTES: usize = 256 * 1024;
/// Subscriptions begun on one connection; a console begins one.
const SUBSCRIPTIONS: usize = 32;
/// Connections of one operator or program.
const OF_ONE: usize = 32;
/// Connections of all.
const OF_ALL: usize = 1_024;
/// How long the first message may take.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// How often the session is asked for.
const STILL_IN: Duration = Duration::from_secs(2);
/// How often the console is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// When it is taken for gone.
const GONE_AFTER: Duration = Duration::from_secs(60);
/// How long the last message may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Connections by whom they belong to.
#[derive(Default)]
pub(in crate::desk) struct Sockets(Arc<Mutex<HashMap<String, usize>>>);

/// One of those that are allowed.
struct Seat {
    sockets: Arc<Mutex<HashMap<String, usize>>>,
    name: String,
}

impl Sockets {
    fn take(&self, name: String) -> Option<Seat> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let count = counts.entry(name.clone()).or_default();
        if *count >= OF_ONE || all >= OF_ALL {
            return None;
        }
        *count += 1;
        let sockets = self.0.clone();
        Some(Seat { sockets, name })
    }

    /// How many there are.
    pub(in crate::desk) fn count(&self) -> usize {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.values().sum()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}

/// Why a connection ends: a code of the protocol's, and words.
type End = (u16, &'static str);

const SIGNED_OUT: End = (4401, "the session has ended; sign in again");
const STOPPING: End = (1001, "central stops; come back");
const TOO_MANY: End = (4429, "too many subscriptions on one connection");
const SILENT: End = (4408, "nothing was heard");

/// Opens a connection.
pub(in crate::desk) async fn open(
    State(desk): State<Arc<Desk>>,
    Reader(who): Reader,
    parts: Parts,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    // A browser sends cookies along wherever the page comes from, and no other header of ours.
    if matches!(who.credential, Credential::Session(_)) && !desk.is_own_origin(&parts) {
        let detail = "the connection comes from a page that is not this console";
        return Err(Refusal::new(Kind::CrossSite, detail));
    }
    let upgrade = upgrade.map_err(|fault| Refusal::new(Kind::Malformed, fault.to_string()))?;
    let seat = desk.live.sockets.take(who.name());
    let seat = seat.ok_or_else(|| {
        Refusal::new(
            Kind::Busy,
            "you have too many live connections open; close some",
        )
    })?;
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT_BYTES);
    if upgrade.selected_protocol().is_none() {
        return Err(Refusal::new(
            Kind::Malformed,
            format!("the protocol spoken here is {PROTOCOL}"),
        ));
    }
    Ok(upgrade.on_upgrade(move |socket| async move {
        converse(&desk, who, socket).await;
        drop(seat);
    }))
}

async fn converse(desk: &Arc<Desk>, who: Who, socket: WebSocket) {
    let (mut sink, stream) = socket.split();
    let heard = Arc::new(Heard::default());
    let end = {
        let mut data = async_graphql::Data::default();
        data.insert(desk.clone());
        data.insert(who.clone());
        let messages = Box::pin(messages(stream, heard.clone()));
        let conversation = Conversation::from_message_stream(
            desk.schema.clone(),
            messages,
            WebSocketProtocols::GraphQLWS,
        )
        .connection_data(data);
        speak(desk, &who, &mut sink, Box::pin(conversation), &heard).await
    };
    if let Some((code, reason)) = end {
        let reason = reason.into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        // Whoever takes nothing more has gone.
        let _ = tokio::time::timeout(LAST_WORDS, sink.send(close)).await;
    }
}

/// What was heard from a console.
struct Heard {
    at: Mutex<Instant>,
    anything: AtomicBool,
    too_many: AtomicBool,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            at: Mutex::new(Instant::now()),
            anything: AtomicBool::default(),
            too_many: AtomicBool::default(),
        }
    }
}

impl Heard {
    fn hear(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn silent_for(&self) -> Duration {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.elapsed()
    }
}

/// The protocol's messages, as many as are allowed.
fn messages(
    stream: impl Stream<Item = Result<Message, axum::Error>>,
    heard: Arc<Heard>,
) -> impl Stream<Item = serde_json::Result<ClientMessage>> {
    let mut begun = 0;
    stream
        .take_while(|message| {
            let goes_on = !matches!(message, Err(_) | Ok(Message::Close(_)));
            futures_util::future::ready(goes_on)
        })
        .filter_map(move |message| {
            heard.hear();
            let said = match message {
                Ok(Message::Text(text)) => Some(ClientMessage::from_bytes(text.as_bytes())),
                Ok(Message::Binary(bytes)) => Some(ClientMessage::from_bytes(&bytes)),
                _ => None,
            };
            heard.anything.fetch_or(said.is_some(), Ordering::Relaxed);
            if matches!(said, Some(Ok(ClientMessage::Start { .. }))) {
                begun += 1;
            }
            let one_too_many = begun > SUBSCRIPTIONS;
            heard.too_many.fetch_or(one_too_many, Ordering::Relaxed);
            futures_util::future::ready(said.filter(|_| !one_too_many))
        })
}

/// Says what there is to say until somebody ends it; why, where it was central.
async fn speak(
    desk: &Desk,
    who: &Who,
    sink: &mut (impl SinkExt<Message, Error = axum::Error> + Unpin),
    mut conversation: impl Stream<Item = WsMessage> + Unpin,
    heard: &Heard,
) -> Option<End> {
    let began = Instant::now();
    let mut changes = desk.callers.changes();
    let mut look = tokio::time::interval(STILL_IN);
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.reset();
    loop {
        let message = tokio::select! {
            said = conversation.next() => match said? {
                WsMessage::Text(text) => Message::Text(text.into()),
                WsMessage::Close(code, reason) => {
                    let reason = reason.into();
                    Message::Close(Some(CloseFrame { code, reason }))
                }
            },
            _ = look.tick() => {
                if let Some(end) = ended(desk, who, heard, began).await {
                    return Some(end);
                }
                continue;
            }
            _ = changes.changed() => {
                if let Some(end) = ended(desk, who, heard, began).await {
                    return Some(end);
                }
                continue;
            }
            _ = ping.tick() => Message::Ping(bytes::Bytes::new()),
            () = desk.stopping.cancelled() => return Some(STOPPING),
        };
        let last = matches!(message, Message::Close(_));
        // One that takes nothing is cut by the stream below.
        if sink.send(message).await.is_err() || last {
            return None;
        }
    }
}

async fn ended(desk: &Desk, who: &Who, heard: &Heard, began: Instant) -> Option<End> {
    if heard.too_many.load(Ordering::Relaxed) {
        return Some(TOO_MANY);
    }
    let never_began = !heard.anything.load(Ordering::Relaxed) && began.elapsed() > FIRST_WITHIN;
    if never_began || heard.silent_for() > GONE_AFTER {
        return Some(SILENT);
    }
    match desk.caller(&who.credential, true).await {
        Ok(Some(caller)) if caller.may(Right::Read) => None,
        _ => Some(SIGNED_OUT),
    }
}
