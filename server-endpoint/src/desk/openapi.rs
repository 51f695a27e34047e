//! What the desk's API is, as documents for programs and for those who write them: REST as OpenAPI,
//! questions as a GraphQL schema. Both are made from the code, and lie in `api/` for whoever reads; a test
//! finds where they differ.

use utoipa::OpenApi;

use super::{commands, files, fleet, giving, graphql, health, metrics, people, session};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Branchline desk",
        description = "What central support's console and programs ask of central. Operators have a \
                       session in a cookie and send `Branchline-Console: 1` with whatever changes \
                       something; programs have an API token (`Authorization: Bearer`). Questions are in \
                       GraphQL: `POST /desk/v1/graphql`, and `GET /desk/v1/live` (graphql-transport-ws) \
                       for what happens. Every error is a problem document (RFC 9457)."
    ),
    paths(
        session::show,
        session::sign_in,
        session::sign_out,
        session::change_password,
        commands::give,
        files::content,
        files::let_go,
        giving::take,
        giving::state,
        fleet::catalogue,
        fleet::change_catalogue,
        fleet::set_bandwidth,
        fleet::make_token,
        fleet::tokens,
        fleet::revoke_token,
        fleet::revoke_agent,
        people::operators,
        people::add_operator,
        people::set_role,
        people::reset_password,
        people::remove_operator,
        people::api_tokens,
        people::make_api_token,
        people::revoke_api_token,
        health::live,
        health::ready,
        metrics::show,
    )
)]
struct Rest;

/// The OpenAPI document; JSON.
pub fn rest() -> String {
    let mut document = Rest::openapi().to_pretty_json().unwrap_or_default();
    document.push('\n');
    document
}

/// The GraphQL schema.
pub fn questions() -> String {
    graphql::schema().sdl()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Has the files written anew instead of compared.
    const WRITE: &str = "BRANCHLINE_WRITE_API";

    #[test]
    fn the_documents_in_the_repository_are_those_of_the_code() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("api");
        for (name, now) in [("openapi.json", rest()), ("schema.graphql", questions())] {
            let path = folder.join(name);
            if std::env::var_os(WRITE).is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &now).unwrap();
            }
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                there == now,
                "api/{name} is not what the code says; write it anew with `{WRITE}=1 cargo test \
                 --workspace --lib the_documents_in_the_repository`, and look at what changed"
            );
        }
    }

    #[test]
    fn every_route_is_described() {
        let document: serde_json::Value = serde_json::from_str(&rest()).unwrap();
        let routes = include_str!("../desk.rs");
        let described = document["paths"].as_object().unwrap();
        let quoted = routes
            .split('"')
            .filter(|text| text.starts_with("/desk/v1/"));
        for path in quoted.filter(|path| !path.ends_with("/graphql") && !path.ends_with("/live")) {
            assert!(
                described.contains_key(path),
                "{path} is not in the OpenAPI document"
            );
        }
    }
}
