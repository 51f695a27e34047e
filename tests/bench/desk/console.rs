//! Who asks the desk: a console with a live connection, and programs with questions.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use harness::processes::Central;
use harness::tls;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::INBOX;

/// A live connection that hears of every change.
pub struct Console(WebSocketStream<TlsStream<TcpStream>>);

impl Console {
    pub async fn open(central: &Central, token: &str) -> Self {
        let stream = std::net::TcpStream::connect(central.desk).expect("reach the desk");
        Self::over(stream, central, token).await
    }

    pub async fn over(stream: std::net::TcpStream, central: &Central, token: &str) -> Self {
        stream.set_nonblocking(true).expect("not to block");
        stream.set_nodelay(true).expect("no delay");
        let stream = TcpStream::from_std(stream).expect("a stream");
        let name = ServerName::from(central.address.ip());
        let connector = TlsConnector::from(tls::client(&central.anchors(), None));
        let stream = connector.connect(name, stream).await.expect("TLS");
        let url = format!("ws://{}/desk/v1/live", central.desk);
        let mut request = url.into_client_request().expect("a request");
        for (name, value) in [
            ("authorization", format!("Bearer {token}")),
            ("sec-websocket-protocol", "graphql-transport-ws".to_owned()),
        ] {
            request
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        let (socket, _) = client_async(request, stream)
            .await
            .expect("a live connection");
        let mut console = Self(socket);
        console.say(&json!({ "type": "connection_init" })).await;
        assert_eq!(console.hear().await["type"], "connection_ack");
        let query =
            "subscription { changes { position kind number ticket { number subject state } } }";
        let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": query } });
        console.say(&subscribe).await;
        // It watches from when central has read that.
        tokio::time::sleep(Duration::from_millis(200)).await;
        console
    }

    /// Waits for the ticket of this number to arrive.
    pub async fn until(&mut self, number: &str) {
        loop {
            let heard = self.hear().await;
            let change = &heard["payload"]["data"]["changes"];
            if change["number"] == *number && change["kind"] == "ticket_filed" {
                return;
            }
        }
    }

    async fn say(&mut self, message: &Value) {
        let said = self.0.send(Message::text(message.to_string())).await;
        said.expect("say something");
    }

    async fn hear(&mut self) -> Value {
        loop {
            let heard = tokio::time::timeout(Duration::from_secs(60), self.0.next()).await;
            let heard = heard
                .expect("in time")
                .expect("a message")
                .expect("a message");
            let Message::Text(text) = heard else { continue };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            if message["type"] == "ping" {
                self.say(&json!({ "type": "pong" })).await;
            } else {
                return message;
            }
        }
    }
}

/// Asks questions over connections that stay.
#[derive(Clone)]
pub struct Program {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Program {
    pub fn new(central: &Central, token: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = tls::client(&central.anchors(), None);
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .tls_backend_preconfigured(config.as_ref().clone());
        Self {
            http: http.build().expect("a client"),
            url: format!("https://{}/desk/v1/graphql", central.desk),
            token: token.to_owned(),
        }
    }

    pub async fn ask(&self, question: &str) -> Value {
        let request = self.http.post(&self.url).bearer_auth(&self.token);
        let request = request.header("branchline-console", "1");
        let body = json!({ "query": question }).to_string();
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.expect("an answer");
        let answer = answer.text().await.expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer.get("errors").is_none(), "{question}: {answer}");
        answer
    }

    pub async fn times(&self, question: impl Fn(usize) -> String, count: usize) -> Vec<Duration> {
        for n in 0..20 {
            self.ask(&question(n)).await;
        }
        let mut times = Vec::new();
        for n in 0..count {
            let question = question(n);
            let started = Instant::now();
            self.ask(&question).await;
            times.push(started.elapsed());
        }
        times
    }

    /// Inboxes per second that so many at once get.
    pub async fn rate(&self, at_once: usize, time: Duration) -> f64 {
        let (stop, stopped) = oneshot::channel();
        let ends = async {
            tokio::time::sleep(time).await;
            stop.send(()).ok();
        };
        tokio::join!(self.clone().rate_until(at_once, stopped), ends).0
    }

    pub async fn rate_until(self, at_once: usize, stopped: oneshot::Receiver<()>) -> f64 {
        let started = Instant::now();
        let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..at_once {
            let (program, count) = (self.clone(), count.clone());
            asking.spawn(async move {
                loop {
                    program.ask(&format!("{{ {INBOX} }}")).await;
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
        stopped.await.ok();
        let took = started.elapsed().as_secs_f64();
        f64::from(count.load(std::sync::atomic::Ordering::Relaxed)) / took
    }
}
