//! The console: the page and what it loads, from within this program.
//!
//! The page may run nothing but its own scripts and talk to nobody but this desk; both are said in its
//! headers, so that a text that somebody filed stays a text whatever is in it.

use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::problem;

/// What was built, by path.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

const PAGE: &str = "index.html";
/// What is shown where no console was built.
const NO_CONSOLE: &[u8] = b"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<title>Branchline</title><h1>Branchline</h1><p>This build of the server has no console. \
Build it with <code>make console</code>, then build the server again. Programs reach the desk all the \
same, under <code>/desk/v1/</code>.</p></html>";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Names of these hold a hash of what they are.
const ASSETS: &str = "assets/";

/// A file of the console, or what is said of any other path.
pub(super) async fn show(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { PAGE } else { path };
    let file = FILES.iter().find(|(name, _)| *name == path);
    let content = match file {
        Some((_, content)) => *content,
        None if path == PAGE => NO_CONSOLE,
        None => return problem::no_such_route(&uri).into_response(),
    };
    if method != Method::GET && method != Method::HEAD {
        let mut refused = problem::no_such_method(&method, &uri).into_response();
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        return refused;
    }
    let tag = format!("\"{}\"", blake3::hash(content).to_hex());
    let known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known == tag.as_str());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content.into_response()
    };
    let kept = if path.starts_with(ASSETS) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let said: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, media_type(path)),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, kept),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (ETAG, &tag),
    ];
    for (name, value) in said {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json" | "webmanifest") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
