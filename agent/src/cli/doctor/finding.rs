//! What a step of the doctor found, and how it is told: at once to people, whole to programs.

use std::path::Path;

use branchline_protocol::problem::ErrorClass;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::output;

/// What one step found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    step: &'static str,
    result: Verdict,
    words: String,
    /// Who must act, where something is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<ErrorClass>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// Figures, for programs.
    #[serde(skip_serializing_if = "Map::is_empty")]
    facts: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

/// As it should be.
pub(super) fn good(step: &'static str, words: impl Into<String>) -> Finding {
    Finding::new(step, Verdict::Good, None, words)
}

/// Works, and somebody should know.
pub(super) fn warning(step: &'static str, class: ErrorClass, words: impl Into<String>) -> Finding {
    Finding::new(step, Verdict::Warning, Some(class), words)
}

/// Does not work.
pub(super) fn bad(step: &'static str, class: ErrorClass, words: impl Into<String>) -> Finding {
    Finding::new(step, Verdict::Bad, Some(class), words)
}

impl Finding {
    fn new(
        step: &'static str,
        result: Verdict,
        class: Option<ErrorClass>,
        words: impl Into<String>,
    ) -> Self {
        Self {
            step,
            result,
            words: words.into(),
            class,
            advice: None,
            facts: Map::new(),
        }
    }

    /// What to do about it.
    pub(super) fn advising(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Other words.
    pub(super) fn words(mut self, words: String) -> Self {
        self.words = words;
        self
    }

    /// A figure.
    pub(super) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// All findings so far.
pub(super) struct Report {
    json: bool,
    findings: Vec<Finding>,
}

/// Columns of a line of text.
const WIDTH: usize = 100;
/// Where the words begin in a line.
const INDENT: usize = 23;

impl Report {
    pub(super) fn begin(json: bool, config: &Path) -> Self {
        if !json {
            let path = output::safe(&config.display().to_string());
            output::line(&format!("Checking the agent configured in {path}"));
        }
        Self {
            json,
            findings: Vec::new(),
        }
    }

    /// Says what goes on, where somebody is looking.
    pub(super) fn doing(&self, what: &str) {
        if !self.json {
            output::progress(&format!("  …     {what}"));
        }
    }

    pub(super) fn tell(&mut self, finding: Finding) {
        if !self.json {
            output::progress_done();
            for line in shown(&finding) {
                output::line(&line);
            }
        }
        self.findings.push(finding);
    }

    /// What was found of a step, as programs are told.
    #[cfg(test)]
    pub(super) fn of(&self, step: &str) -> Option<Value> {
        let found = self.findings.iter().find(|finding| finding.step == step)?;
        serde_json::to_value(found).ok()
    }

    /// Whether anything was found that does not work.
    pub(super) fn is_sick(&self) -> bool {
        let sick = |finding: &Finding| finding.result == Verdict::Bad;
        self.findings.iter().any(sick)
    }

    /// Tells what has not been told yet.
    pub(super) fn end(&self) {
        if self.json {
            output::json(&self.findings);
        } else {
            output::progress_done();
        }
    }
}

fn shown(finding: &Finding) -> Vec<String> {
    let mark = match finding.result {
        Verdict::Good => "good",
        Verdict::Warning => "mind",
        Verdict::Bad => "BAD ",
    };
    let class = finding
        .class
        .map_or_else(String::new, |class| format!(" ({class})"));
    let words = output::safe(&format!("{}{class}", finding.words)).replace('\n', " ");
    let head = format!("  {mark}  {:<14} ", finding.step);
    let mut lines = wrapped(&head, &words);
    if let Some(advice) = &finding.advice {
        let advice = output::safe(advice).replace('\n', " ");
        lines.extend(wrapped(&format!("{:INDENT$}→ ", ""), &advice));
    }
    lines
}

/// Words behind a head, broken at blanks.
fn wrapped(head: &str, words: &str) -> Vec<String> {
    let indent = " ".repeat(head.chars().count());
    let mut lines = Vec::new();
    let mut line = head.to_owned();
    let mut is_empty = true;
    for word in words.split(' ') {
        let long = line.chars().count() + 1 + word.chars().count() > WIDTH;
        if long && !is_empty {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_in_lines_that_fit() {
        let finding = bad("TLS", ErrorClass::CallIt, "word ".repeat(40).trim())
            .advising("Do something about it.");
        let lines = shown(&finding);
        assert!(
            lines[0].starts_with("  BAD   TLS            word word"),
            "{lines:#?}"
        );
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[1].starts_with(&" ".repeat(INDENT)), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with("(call IT)")));
        assert_eq!(lines.last().unwrap().trim(), "→ Do something about it.");
        let sly = shown(&good("name", "a\u{1b}[31m\nb"));
        assert_eq!(sly.len(), 1);
        assert!(!sly[0].contains('\u{1b}'));
    }

    #[test]
    fn programs_get_class_advice_and_figures() {
        let finding = warning("latency", ErrorClass::TryAgain, "slow").fact("median_millis", 900);
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["result"], "warning");
        assert_eq!(json["class"], "try_again");
        assert_eq!(json["facts"]["median_millis"], 900);
        assert!(json.get("advice").is_none());
    }
}
