//! What a drop folder's ticket says: subject and description, within the protocol's limits whatever
//! the files are called.

use std::fmt::Write;
use std::path::Path;

use branchline_protocol::file_name::shown_name;
use branchline_protocol::limits;
use branchline_protocol::text::clipped;
use branchline_protocol::time::{LocalTime, UnixMillis};

/// Characters of a folder's path in a subject, so that names have room.
const FOLDER_CHARS: usize = 80;
/// Characters of a name in a list of several.
const LISTED_NAME_CHARS: usize = 100;
/// Room for the words that say how many more there are.
const MORE_CHARS: usize = 40;

/// A file as the ticket describes it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// As filed.
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    /// When it was written last.
    pub(super) modified: UnixMillis,
}

/// The subject: the template filled in, or the agent's own words.
pub(super) fn subject(template: Option<&str>, folder: &Path, files: &[Described]) -> String {
    let folder = shown_name(&folder.display().to_string());
    let folder = clipped(&folder, FOLDER_CHARS);
    let count = files.len();
    let first = files.first().map_or("", |file| &file.name);
    let first = one_name(first);
    let template = template.unwrap_or(if count == 1 {
        "{name} from {folder}"
    } else {
        "{count} files from {folder}: {names}"
    });
    let without_names = filled(template, folder, count, &first, "").chars().count();
    let room = limits::SUBJECT_CHARS.saturating_sub(without_names);
    let subject = filled(template, folder, count, &first, &name_list(files, room));
    let subject = clipped(&subject, limits::SUBJECT_CHARS).trim_end();
    if subject.trim().is_empty() {
        // A template that names nothing but names that nobody can see.
        format!("{count} from a drop folder")
    } else {
        subject.to_owned()
    }
}

/// One pass, so that a file called `{folder}` stays what it is called.
fn filled(template: &str, folder: &str, count: usize, first: &str, names: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let (word, behind) = from
            .find('}')
            .and_then(|end| from.split_at_checked(end + 1))
            .unwrap_or((from, ""));
        match word {
            "{names}" => text.push_str(names),
            "{name}" => text.push_str(first),
            "{folder}" => text.push_str(folder),
            "{count}" => text.push_str(&count.to_string()),
            other => text.push_str(other),
        }
        rest = behind;
    }
    text + rest
}

fn one_name(name: &str) -> String {
    clipped(&shown_name(name), LISTED_NAME_CHARS).to_owned()
}

fn name_list(files: &[Described], room: usize) -> String {
    let mut list = String::new();
    for (index, file) in files.iter().enumerate() {
        let name = one_name(&file.name);
        let separator = if index == 0 { "" } else { ", " };
        let is_last = index + 1 == files.len();
        let reserve = if is_last { 0 } else { MORE_CHARS };
        let length = list.chars().count() + separator.len() + name.chars().count();
        if length + reserve > room {
            let more = files.len() - index;
            let words = if index == 0 {
                String::new()
            } else {
                format!(" and {more} more")
            };
            list.push_str(&words);
            return list;
        }
        list.push_str(separator);
        list.push_str(&name);
    }
    list
}

/// The description: the folder, and each file with its size and time as far as there is room.
pub(super) fn description(folder: &Path, files: &[Described], offset_minutes: i16) -> String {
    let folder = shown_name(&folder.display().to_string());
    let mut text = format!("Taken from the folder {}\n", clipped(&folder, 1_000));
    let mut chars = text.chars().count();
    for (index, file) in files.iter().enumerate() {
        let modified = LocalTime {
            millis: file.modified,
            offset_minutes,
        };
        let size = file.size;
        let noun = if size == 1 { "byte" } else { "bytes" };
        let name = shown_name(&file.name);
        let line = format!("\n{name}: {size} {noun}, written {modified}");
        chars += line.chars().count();
        if chars + MORE_CHARS > limits::TEXT_CHARS {
            let _ = write!(text, "\nand {} more", files.len() - index);
            return text;
        }
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use branchline_protocol::text::{Shape, fault};

    use super::*;

    fn files(names: &[&str]) -> Vec<Described> {
        let one = |name: &&str| Described {
            name: (*name).to_owned(),
            size: 3,
            modified: UnixMillis(0),
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn words_are_those_a_person_would_use() {
        let folder = Path::new("/srv/scans");
        assert_eq!(
            subject(None, folder, &files(&["a.pdf", "b.pdf", "c.pdf"])),
            "3 files from /srv/scans: a.pdf, b.pdf, c.pdf"
        );
        assert_eq!(
            subject(None, folder, &files(&["{folder}"])),
            "{folder} from /srv/scans"
        );
        let template = Some("Till 3, {count}: {names}");
        assert_eq!(
            subject(template, folder, &files(&["a", "b"])),
            "Till 3, 2: a, b"
        );
        assert_eq!(
            description(folder, &files(&["a.pdf"]), 60),
            "Taken from the folder /srv/scans\n\na.pdf: 3 bytes, written 1970-01-01T01:00:00.000+01:00"
        );
    }

    #[test]
    fn whatever_files_are_called_the_ticket_is_valid() {
        let long = "ä".repeat(255);
        let deep = format!("/{}", "x".repeat(5_000));
        for names in [
            vec![long.as_str(); 100],
            vec!["a\nb", "\u{202e}fdp.exe", "\t"],
            vec!["a"; 100],
            vec![" "],
        ] {
            for folder in ["/srv/scans", &deep] {
                for template in [None, Some("{names}"), Some("{name}"), Some("{count}")] {
                    let files = files(&names);
                    let said = subject(template, Path::new(folder), &files);
                    assert_eq!(
                        fault(&said, Shape::Line, limits::SUBJECT_CHARS),
                        None,
                        "{said}"
                    );
                    let said = description(Path::new(folder), &files, 0);
                    assert_eq!(fault(&said, Shape::Lines, limits::TEXT_CHARS), None);
                }
            }
        }
        let many: Vec<String> = (0..100).map(|n| format!("scan-{n:04}.pdf")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let said = subject(None, Path::new("/srv"), &files(&many));
        assert!(
            said.starts_with("100 files from /srv: scan-0000.pdf, "),
            "{said}"
        );
        assert!(said.ends_with(" more"), "{said}");
    }
}
