//! Questions in GraphQL, answered from the read model and from what is kept in memory.
//!
//! What a question may cost has bounds (P8): its bytes, what they come to ([`measure`]), its depth, and its
//! complexity, which counts what an answer can hold at the most. Without somebody who may read, nothing is answered, the schema itself
//! included.

use std::sync::Arc;

use async_graphql::{EmptyMutation, ErrorExtensions};
use axum::Json;
use axum::extract::State;

use super::Desk;
use super::callers::Reader;
use super::problem::Refusal;
use super::said::Said;

mod fleet;
mod measure;
mod query;
mod scalars;
mod subscription;
mod tickets;
mod trail;

use query::Query;
use subscription::Subscription;

/// How deep a question may go.
const DEPTH: usize = 8;
/// What its answer may hold, in fields, about.
const COMPLEXITY: usize = 6_000;
/// How deep its text may nest, fragments within each other included.
const NESTING: usize = 16;
/// Directives of one field.
const DIRECTIVES: usize = 4;

/// The schema.
pub(super) type Schema = async_graphql::Schema<Query, EmptyMutation, Subscription>;

/// Makes it.
pub(super) fn schema() -> Schema {
    Schema::build(Query, EmptyMutation, Subscription)
        .limit_depth(DEPTH)
        .limit_complexity(COMPLEXITY)
        .limit_recursive_depth(NESTING)
        .limit_directives(DIRECTIVES)
        .extension(measure::Measure)
        .disable_suggestions()
        .finish()
}

/// Answers a question.
pub(super) async fn answer(
    State(desk): State<Arc<Desk>>,
    Reader(who): Reader,
    Said(request): Said<async_graphql::Request>,
) -> Json<async_graphql::Response> {
    let request = request.data(desk.clone()).data(who);
    Json(desk.schema.execute(request).await)
}

/// A refusal within an answer.
fn refused(refusal: impl Into<Refusal>) -> async_graphql::Error {
    let refusal = refusal.into();
    async_graphql::Error::new(refusal.detail()).extend_with(|_, extensions| {
        extensions.set("type", refusal.kind().tag());
        extensions.set("class", class(&refusal));
    })
}

fn class(refusal: &Refusal) -> String {
    let class = serde_json::to_value(refusal.kind().class()).unwrap_or_default();
    class.as_str().unwrap_or_default().to_owned()
}
