//! A window driven from outside: the few calls of W3C WebDriver that the tests need, spoken to tauri-driver,
//! which has WebKit's own driver (Debian's webkit2gtk-driver) behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::waiting::wait_until;

/// The key of an element's id in WebDriver's JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with one window.
#[derive(Debug, Clone)]
pub struct Session {
    http: reqwest::Client,
    base: String,
}

/// An element of the page.
#[derive(Debug, Clone)]
pub struct Element(String);

impl Session {
    /// Starts the program and takes hold of its window.
    pub async fn begin(driver: SocketAddr, program: &Path) -> Self {
        // No TLS is spoken here; the HTTP client wants to know which one it would be.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("make an HTTP client");
        let wish = json!({ "capabilities": { "alwaysMatch": {
            "tauri:options": { "application": program },
        }}});
        let made = wait_until("tauri-driver to start the client", || async {
            let answer = http
                .post(format!("http://{driver}/session"))
                .json(&wish)
                .send()
                .await
                .ok()?;
            let answer: Value = answer.json().await.ok()?;
            let id = answer["value"]["sessionId"].as_str().map(str::to_owned);
            if id.is_none() {
                tracing_line(&answer);
            }
            id
        })
        .await;
        Self {
            http,
            base: format!("http://{driver}/session/{made}"),
        }
    }

    async fn call(&self, path: &str, body: Option<Value>) -> Result<Value, Value> {
        let address = format!("{}/{path}", self.base);
        let request = match body {
            Some(body) => self.http.post(address).json(&body),
            None => self.http.get(address),
        };
        let answer = request.send().await.expect("WebKit's driver answers");
        let good = answer.status().is_success();
        let answer: Value = answer.json().await.expect("JSON");
        let value = answer["value"].clone();
        if good { Ok(value) } else { Err(value) }
    }

    /// Runs a function's body in the page.
    pub async fn script(&self, body: &str) -> Value {
        let asked = json!({ "script": body, "args": [] });
        let answer = self.call("execute/sync", Some(asked)).await;
        answer.unwrap_or_else(|fault| panic!("{body}: {fault}"))
    }

    /// Waits until a function's body gives something else than null or false.
    pub async fn until(&self, what: &str, body: &str) -> Value {
        wait_until(what, || async {
            let value = self.script(body).await;
            (!matches!(value, Value::Null | Value::Bool(false))).then_some(value)
        })
        .await
    }

    /// Waits until this text stands in the page.
    pub async fn until_text(&self, text: &str) {
        let text = json!(text);
        let body = format!("return document.body.innerText.includes({text})");
        self.until(&format!("the window to say {text}"), &body)
            .await;
    }

    /// The text of the page.
    pub async fn text(&self) -> String {
        let text = self.script("return document.body.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits for an element by a CSS selector.
    pub async fn find(&self, selector: &str) -> Element {
        let asked = json!({ "using": "css selector", "value": selector });
        wait_until(selector, || async {
            let found = self.call("element", Some(asked.clone())).await.ok()?;
            found[ELEMENT].as_str().map(|id| Element(id.to_owned()))
        })
        .await
    }

    /// Waits for a button that says this, and presses it a moment later: WebKit's driver waits without end for
    /// a script in which a form was handed in.
    pub async fn press(&self, label: &str) {
        self.press_one_of(&[label]).await;
    }

    /// Presses whichever button of these is there first.
    pub async fn press_one_of(&self, labels: &[&str]) {
        let labels = json!(labels);
        let body = format!(
            "const all = [...document.querySelectorAll('button')];
             const is = (label) => {labels}.includes(label);
             const one = all.find((b) => is(b.innerText.trim()) || is(b.ariaLabel));
             if (one) setTimeout(() => one.click(), 0); return Boolean(one)"
        );
        self.until(&format!("a button {labels}"), &body).await;
    }

    /// Types into an element, key by key.
    pub async fn type_into(&self, element: &Element, keys: &str) {
        let path = format!("element/{}/value", element.0);
        let typed = self.call(&path, Some(json!({ "text": keys }))).await;
        typed.unwrap_or_else(|fault| panic!("type {keys:?}: {fault}"));
    }

    /// Presses keys, wherever the focus is: modifiers are held until the end.
    pub async fn keys(&self, keys: &[&str]) {
        let downs = keys
            .iter()
            .map(|key| json!({ "type": "keyDown", "value": key }));
        let ups = keys
            .iter()
            .rev()
            .map(|key| json!({ "type": "keyUp", "value": key }));
        let actions: Vec<Value> = downs.chain(ups).collect();
        let asked = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        let pressed = self.call("actions", Some(asked)).await;
        pressed.unwrap_or_else(|fault| panic!("press {keys:?}: {fault}"));
    }

    /// A picture of the window, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        use base64::Engine;
        let picture = self.call("screenshot", None).await.expect("a picture");
        let picture = picture.as_str().expect("base64");
        base64::engine::general_purpose::STANDARD
            .decode(picture)
            .expect("base64")
    }
}

/// Why there is no session yet is worth a line: the program may not start at all.
fn tracing_line(answer: &Value) {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "no session yet: {}",
        answer["value"]["message"]
    );
}
