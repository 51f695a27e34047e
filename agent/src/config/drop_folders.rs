//! `[[drop_folder]]`: folders whose files become tickets by themselves.
//!
//! Checked without touching the disk: a folder may lie on a share that does not answer, and the
//! settings must be readable all the same. What only the disk can tell (a link into the agent's own
//! data) is asked again when the folder is opened.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use branchline_protocol::limits;
use branchline_protocol::operation::{Body, Contact, Operation, Priority, Reporter, TicketFiled};
use serde::Deserialize;

/// Rules in one configuration; each has two threads of its own.
const RULES: usize = 16;
/// Patterns of one rule.
const PATTERNS: usize = 32;
/// Characters of a pattern: those of a name.
const PATTERN_CHARS: usize = limits::FILE_NAME_CHARS;
/// Seconds for which a file must have been still.
const SETTLE_SECONDS: std::ops::RangeInclusive<u32> = 1..=3_600;
/// What a subject's template may name.
const PLACEHOLDERS: [&str; 4] = ["{names}", "{count}", "{folder}", "{name}"];
/// Where files go once central has them, below the folder itself.
pub const SENT_FOLDER: &str = "sent";

/// One `[[drop_folder]]` in `agent.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropFolder {
    /// The folder, as a whole path; not those below it.
    pub path: PathBuf,
    /// Names that are taken (`*.log`), in capital or small letters; all where there are none.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// The tickets' category.
    #[serde(default = "default_category")]
    pub category: String,
    /// The tickets' priority.
    #[serde(default)]
    pub priority: Priority,
    /// Which files share a ticket.
    #[serde(default)]
    pub ticket_per: TicketPer,
    /// The tickets' subject, in which `{names}`, `{name}` (the first), `{count}` and `{folder}` are
    /// filled in; the agent's own words where absent.
    #[serde(default)]
    pub subject: Option<String>,
    /// Whom central asks; the files' owner where absent.
    #[serde(default)]
    pub contact: Option<Contact>,
    /// Seconds for which a file's size and time must have been still before it is taken; 1 to 3,600.
    #[serde(default = "default_settle_seconds")]
    pub settle_seconds: u32,
    /// Move a file to `sent/` in the folder once central has received it.
    #[serde(default)]
    pub move_to_sent: bool,
}

/// Which files of a drop folder share a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketPer {
    /// Each has its own.
    #[default]
    File,
    /// Those that arrive close together have one.
    Burst,
}

fn default_category() -> String {
    "drop folder".to_owned()
}

fn default_settle_seconds() -> u32 {
    5
}

impl DropFolder {
    /// [`DropFolder::settle_seconds`] as a length of time.
    pub fn settle(&self) -> Duration {
        Duration::from_secs(u64::from(self.settle_seconds))
    }
}

/// What cannot be used, named by key and folder. `own` are the folders whose files are the agent's:
/// nothing in the first may be taken, and nothing directly in the others.
pub(super) fn fault(folders: &[DropFolder], data_dir: &Path, own: &[PathBuf]) -> Option<String> {
    if folders.len() > RULES {
        let count = folders.len();
        return Some(format!(
            "drop_folder: there are {count}; at most {RULES} are allowed"
        ));
    }
    let alone = folders.iter().find_map(|folder| {
        let fault = place_fault(&folder.path, data_dir, own).or_else(|| rule_fault(folder))?;
        Some(format!(
            "drop_folder \"{}\": {fault}",
            folder.path.display()
        ))
    });
    alone.or_else(|| {
        let mut earlier = folders.iter().enumerate();
        earlier.find_map(|(index, folder)| {
            let before = folders.get(..index).unwrap_or_default();
            before.iter().find_map(|other| pair_fault(folder, other))
        })
    })
}

fn place_fault(path: &Path, data_dir: &Path, own: &[PathBuf]) -> Option<String> {
    if !path.is_absolute() {
        return Some("path must be a whole path, such as C:\\scans or /srv/scans".to_owned());
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Some("path must not hold \"..\"; write where it leads".to_owned());
    }
    if is_within(path, data_dir) {
        return Some(format!(
            "path lies in the agent's own data ({}); name another folder",
            data_dir.display()
        ));
    }
    own.iter().find(|own| is_same(path, own)).map(|_| {
        "path holds the agent's own settings and secret; name a folder that holds only what is to \
         be sent"
            .to_owned()
    })
}

fn rule_fault(folder: &DropFolder) -> Option<String> {
    if !SETTLE_SECONDS.contains(&folder.settle_seconds) {
        let (least, most) = (SETTLE_SECONDS.start(), SETTLE_SECONDS.end());
        let given = folder.settle_seconds;
        return Some(format!(
            "settle_seconds = {given} is outside {least} to {most}"
        ));
    }
    if folder.patterns.len() > PATTERNS {
        let count = folder.patterns.len();
        return Some(format!(
            "patterns: there are {count}; at most {PATTERNS} are allowed"
        ));
    }
    folder
        .patterns
        .iter()
        .find_map(|pattern| pattern_fault(pattern))
        .or_else(|| template_fault(folder.subject.as_deref()?))
        .or_else(|| ticket_fault(folder))
}

fn pattern_fault(pattern: &str) -> Option<String> {
    if pattern.is_empty() || pattern.chars().count() > PATTERN_CHARS {
        return Some(format!(
            "patterns: {pattern:?} must have 1 to {PATTERN_CHARS} characters"
        ));
    }
    if pattern.contains('/') {
        return Some(format!(
            "patterns: {pattern:?} names a folder; only files directly in the folder are taken"
        ));
    }
    globset::Glob::new(pattern).err().map(|fault| {
        format!(
            "patterns: {pattern:?} cannot be understood: {}",
            fault.kind()
        )
    })
}

fn template_fault(template: &str) -> Option<String> {
    let mut rest = template.to_owned();
    for placeholder in PLACEHOLDERS {
        rest = rest.replace(placeholder, "");
    }
    rest.contains(['{', '}']).then(|| {
        let known = PLACEHOLDERS.join(", ");
        format!("subject = {template:?}: only {known} can be filled in")
    })
}

/// What a ticket of this rule would be refused for, before there is one.
fn ticket_fault(folder: &DropFolder) -> Option<String> {
    let body = TicketFiled {
        number: "AA-000001".parse().ok()?,
        subject: folder.subject.clone().unwrap_or_else(|| "a".to_owned()),
        description: "a".to_owned(),
        category: folder.category.clone(),
        priority: folder.priority,
        contact: folder.contact.clone().unwrap_or_else(|| Contact {
            name: Some("a".to_owned()),
            ..Contact::default()
        }),
        asset: None,
    };
    let operation = Operation {
        id: branchline_protocol::id::OperationId::from_bytes([0; 16]),
        at: "2026-01-01T00:00:00Z".parse().ok()?,
        by: Reporter {
            user: "a".to_owned(),
        },
        body: Body::TicketFiled(body),
    };
    operation.faults().first().map(ToString::to_string)
}

fn pair_fault(folder: &DropFolder, other: &DropFolder) -> Option<String> {
    for (one, two) in [(folder, other), (other, folder)] {
        if two.move_to_sent && is_same(&one.path, &two.path.join(SENT_FOLDER)) {
            return Some(format!(
                "drop_folder \"{}\": it is where move_to_sent puts the files of \"{}\"; they would \
                 be filed again",
                one.path.display(),
                two.path.display()
            ));
        }
    }
    if !is_same(&folder.path, &other.path) {
        return None;
    }
    let everything = ["*".to_owned()];
    let of = |rule: &'_ DropFolder| {
        if rule.patterns.is_empty() {
            everything.to_vec()
        } else {
            rule.patterns.clone()
        }
    };
    let (own, others) = (of(folder), of(other));
    let path = folder.path.display();
    own.iter().find_map(|one| {
        let clash = others.iter().find(|two| !cannot_both_fit(one, two))?;
        Some(format!(
            "drop_folder \"{path}\": it is named twice, and a file may fit both {one:?} and {clash:?}; \
             use patterns that no name fits both of, such as \"*.pdf\" and \"*.log\""
        ))
    })
}

/// What can be told of a pattern without trying every name.
enum Fits {
    /// This name alone.
    Name(String),
    /// Every name that ends so.
    End(String),
    /// Who knows.
    Many,
}

fn fits(pattern: &str) -> Fits {
    let is_plain = |text: &str| !text.contains(['*', '?', '[', '{', '\\']);
    let pattern = pattern.to_lowercase();
    match pattern.strip_prefix('*') {
        Some(end) if is_plain(end) => Fits::End(end.to_owned()),
        None if is_plain(&pattern) => Fits::Name(pattern),
        _ => Fits::Many,
    }
}

fn cannot_both_fit(one: &str, two: &str) -> bool {
    match (fits(one), fits(two)) {
        (Fits::Name(one), Fits::Name(two)) => one != two,
        (Fits::Name(name), Fits::End(end)) | (Fits::End(end), Fits::Name(name)) => {
            !name.ends_with(&end)
        }
        (Fits::End(one), Fits::End(two)) => !one.ends_with(&two) && !two.ends_with(&one),
        (Fits::Many, _) | (_, Fits::Many) => false,
    }
}

/// Names of folders compare as the system's file systems usually do.
fn part(part: Component<'_>) -> std::ffi::OsString {
    if cfg!(windows) {
        part.as_os_str().to_ascii_lowercase()
    } else {
        part.as_os_str().to_owned()
    }
}

fn is_same(one: &Path, two: &Path) -> bool {
    one.components().map(part).eq(two.components().map(part))
}

fn is_within(path: &Path, folder: &Path) -> bool {
    let mut parts = path.components().map(part);
    folder
        .components()
        .map(part)
        .all(|expected| parts.next() == Some(expected))
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn said(rules: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        let data = place("/var/lib/agent");
        let text = format!("server = \"x\"\ndata_dir = {data:?}\n{rules}");
        std::fs::write(&path, text).unwrap();
        match Config::read(&path) {
            Ok(_) => String::new(),
            Err(fault) => fault.to_string(),
        }
    }

    /// A whole path, on Windows too.
    fn place(path: &str) -> String {
        if cfg!(windows) && path.starts_with('/') {
            format!("C:{path}")
        } else {
            path.to_owned()
        }
    }

    fn rule(path: &str, more: &str) -> String {
        let path = place(path);
        format!("[[drop_folder]]\npath = {path:?}\n{more}\n")
    }

    #[test]
    fn a_full_rule_is_taken() {
        let more = "patterns = [\"*.PDF\", \"scan-??.tif\"]\ncategory = \"scans\"\npriority = \"high\"\n\
                    ticket_per = \"burst\"\nmove_to_sent = true\nsettle_seconds = 2\n\
                    subject = \"{count} from {folder}: {names}\"\ncontact = { phone = \"12\" }";
        assert_eq!(said(&rule("/srv/scans", more)), "");
        assert_eq!(said(&rule("/srv/scans", "")), "");
    }

    #[test]
    fn errors_name_key_and_folder() {
        for (more, words) in [
            ("settle_seconds = 0", "settle_seconds = 0 is outside"),
            ("settle_seconds = 3601", "settle_seconds = 3601 is outside"),
            ("patterns = [\"\"]", "patterns: \"\" must have"),
            ("patterns = [\"a/*.pdf\"]", "names a folder"),
            ("patterns = [\"[\"]", "patterns: \"[\" cannot be understood"),
            ("subject = \"{size}\"", "only {names}"),
            ("subject = \"\"", "subject must not be empty"),
            ("category = \"\"", "category must not be empty"),
            ("contact = { mail = \"x\" }", "contact.mail"),
            ("contact = {}", "contact must have"),
        ] {
            let said = said(&rule("/srv/scans", more));
            assert!(said.contains(words), "{more}: {said}");
            let folder = place("/srv/scans");
            assert!(said.contains(&format!("drop_folder {folder:?}")), "{said}");
        }
        assert!(said(&rule("/srv/scans", "pattern = []")).contains("unknown field `pattern`"));
        assert!(said(&rule("/srv/scans", "ticket_per = \"day\"")).contains("line "));
    }

    #[test]
    fn the_agents_own_folders_are_no_drop_folders() {
        for path in ["/var/lib/agent", "/var/lib/agent/", "/var/lib/agent/in/x"] {
            assert!(said(&rule(path, "")).contains("own data"), "{path}");
        }
        assert_eq!(said(&rule("/var/lib/agents", "")), "");
        assert!(said(&rule("scans", "")).contains("must be a whole path"));
        assert!(said(&rule("/srv/../var/lib/agent", "")).contains("\"..\""));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        let own = rule(folder.path().to_str().unwrap(), "");
        std::fs::write(&path, format!("server = \"x\"\n{own}")).unwrap();
        let said = Config::read(&path).unwrap_err().to_string();
        assert!(said.contains("settings and secret"), "{said}");
    }

    #[test]
    fn two_rules_may_share_a_folder_only_if_no_file_fits_both() {
        let both = |one: &str, two: &str| {
            let of = |pattern: &str| rule("/srv/in", &format!("patterns = [{pattern:?}]"));
            said(&(of(one) + &of(two)))
        };
        for (one, two) in [("*.pdf", "*.log"), ("a.txt", "*.log"), ("a.txt", "b.txt")] {
            assert_eq!(both(one, two), "");
        }
        for (one, two) in [
            ("*.pdf", "*.PDF"),
            ("*.gz", "*.tar.gz"),
            ("a.log", "*.log"),
            ("*", "*.log"),
            ("scan-*", "*.pdf"),
            ("A.txt", "a.TXT"),
        ] {
            assert!(both(one, two).contains("it is named twice"), "{one} {two}");
        }
        assert!(said(&(rule("/srv/in", "") + &rule("/srv/in/", ""))).contains("named twice"));
        let sent = rule("/srv/in", "move_to_sent = true") + &rule("/srv/in/sent", "");
        assert!(said(&sent).contains("filed again"));
        assert_eq!(said(&(rule("/srv/a", "") + &rule("/srv/b", ""))), "");
        let many: String = (0..17).map(|n| rule(&format!("/srv/{n}"), "")).collect();
        assert!(said(&many).contains("there are 17"));
    }
}
