//! How much a question's text may hold, asked before anything follows it: how deep it nests, and what it
//! comes to with its fragments put where they are named.
//!
//! On the data's way: `[desk]`, in front of the library that answers questions. Its checks walk through a
//! fragment as often as it is named, before they compare anything with a limit, so that two kilobytes of
//! fragments within fragments keep a processor for years, and no time limit takes it back; and how deep its
//! parser goes is left to the stack. So this one looks at the bytes alone first, and then at each fragment
//! once (P8).

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest,
};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Pos, Request, ServerError, ServerResult, async_trait};

use super::refused;
use crate::desk::problem::{Kind, Refusal};

/// Brackets within each other: a field at the greatest depth has some ten, arguments and lists included.
const BRACKETS: usize = 32;
/// Fields and fragments of a question, those of a fragment each time that it is named: a console asks for
/// some sixty.
const SELECTIONS: usize = 6_000;
/// What begins a text of many lines, in which no question of ours says anything.
const BLOCK: &str = "\"\"\"";

/// Measures each question, whichever way it comes.
pub(super) struct Measure;

impl ExtensionFactory for Measure {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for Measure {
    async fn prepare_request(
        &self,
        context: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        if request.query.contains(BLOCK) {
            return Err(too_large("the question has a text in three quotes"));
        }
        if nests_deeper(&request.query, BRACKETS) {
            return Err(too_large("the question nests too deep"));
        }
        match weight(request.parsed_query()?) {
            Some(..=SELECTIONS) => next.run(context, request).await,
            Some(_) => Err(too_large("the question names too much")),
            None => Err(too_large("the question's fragments nest too deep")),
        }
    }
}

fn too_large(detail: &str) -> ServerError {
    refused(Refusal::new(Kind::TooLarge, detail)).into_server_error(Pos::default())
}

/// Whether brackets stand deeper within each other than this. What is no question any more, such as a string
/// without its end, may be measured wrongly behind that: no parser comes there.
fn nests_deeper(text: &str, most: usize) -> bool {
    let mut depth = 0_usize;
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'"' => rest = behind_string(rest),
            b'#' => rest = behind_line(rest),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

/// What comes behind a string's end, given what comes behind its beginning.
fn behind_string(mut rest: &[u8]) -> &[u8] {
    while let Some((byte, behind)) = rest.split_first() {
        rest = match byte {
            b'"' => return behind,
            b'\\' => behind.get(1..).unwrap_or_default(),
            _ => behind,
        };
    }
    rest
}

fn behind_line(rest: &[u8]) -> &[u8] {
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.and_then(|end| rest.get(end..)).unwrap_or_default()
}

/// Everything that the operations name, fragments put in place; `None` where those nest too deep, as they do
/// when one is within itself.
fn weight(document: &ExecutableDocument) -> Option<usize> {
    let mut scale = Scale {
        document,
        fragments: HashMap::new(),
    };
    let mut weight = 0_usize;
    for (_, operation) in document.operations.iter() {
        let more = scale.weigh(&operation.node.selection_set.node, 0)?;
        weight = weight.saturating_add(more);
    }
    Some(weight)
}

struct Scale<'a> {
    document: &'a ExecutableDocument,
    /// What each comes to, once known.
    fragments: HashMap<&'a str, usize>,
}

impl<'a> Scale<'a> {
    fn weigh(&mut self, set: &'a SelectionSet, depth: usize) -> Option<usize> {
        if depth > BRACKETS {
            return None;
        }
        let mut weight = set.items.len();
        for selection in &set.items {
            let within = match &selection.node {
                Selection::Field(field) => self.weigh(&field.node.selection_set.node, depth + 1)?,
                Selection::InlineFragment(inline) => {
                    self.weigh(&inline.node.selection_set.node, depth + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, depth + 1)?
                }
            };
            weight = weight.saturating_add(within);
        }
        Some(weight)
    }

    fn fragment(&mut self, name: &'a str, depth: usize) -> Option<usize> {
        if let Some(known) = self.fragments.get(name) {
            return Some(*known);
        }
        // Of one that is not there the library speaks.
        let weight = match self.document.fragments.get(name) {
            Some(fragment) => self.weigh(&fragment.node.selection_set.node, depth)?,
            None => 0,
        };
        self.fragments.insert(name, weight);
        Some(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_counted_where_they_nest_and_nowhere_else() {
        let nests = |text: &str| (0..100).find(|most| !nests_deeper(text, *most)).unwrap();
        for (text, expected) in [
            ("", 0),
            ("{ a { b(c: [1, {d: 2}]) e } f }", 5),
            ("{ a } { b } ( ) [ ] }}}}", 1),
            (r#"{ a(b: "[[[[ { \" [[ \\") c }"#, 2),
            (r#"{ a(b: "" , c: "(") }"#, 2),
            ("{ # {{{{ \"\n a # (((\r (", 2),
            ("[ \" [[[", 1),
            ("[ \"\\", 1),
        ] {
            assert_eq!(nests(text), expected, "{text}");
        }
    }

    #[test]
    fn each_fragment_weighs_as_often_as_it_is_named() {
        let weight = |text: &str| weight(&async_graphql::parser::parse_query(text).unwrap());
        assert_eq!(weight("{ a b { c } ... { d } }"), Some(5));
        let twice = "query x { ...f } query y { a } \
                     fragment f on Q { ...g ...g } fragment g on Q { a b ...h } fragment h on Q { c }";
        assert_eq!(weight(twice), Some(1 + 2 + 2 * (3 + 1) + 1));
        assert_eq!(weight("{ ...nowhere }"), Some(1));
        assert_eq!(weight("{ ...f } fragment f on Q { a { ...f } }"), None);
    }
}
