//! Which names of a drop folder are taken.

use std::ffi::OsStr;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// How programs call what they have not finished, or keep for themselves.
const TEMPORARY_ENDS: [&str; 12] = [
    "~",
    ".part",
    ".partial",
    ".filepart",
    ".tmp",
    ".temp",
    ".crdownload",
    ".download",
    ".swp",
    ".swx",
    ".lock",
    ".lck",
];
const TEMPORARY_STARTS: [&str; 3] = [".", "~$", "~wrl"];
const OF_THE_SYSTEM: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// The names that one rule takes.
pub(super) struct Names {
    /// All where it is empty.
    given: GlobSet,
    /// Those of them that ask for what is otherwise passed over (`*.tmp`).
    temporary: GlobSet,
}

impl Names {
    /// From a rule's patterns. Those that cannot be understood were refused with the configuration.
    pub(super) fn new(patterns: &[String]) -> Self {
        let set = |wanted: &dyn Fn(&str) -> bool| {
            let mut set = GlobSetBuilder::new();
            for pattern in patterns.iter().filter(|pattern| wanted(pattern)) {
                if let Ok(glob) = glob(pattern) {
                    set.add(glob);
                }
            }
            set.build().unwrap_or_default()
        };
        Self {
            given: set(&|_| true),
            temporary: set(&is_temporary),
        }
    }

    /// Whether a file of this name is taken.
    pub(super) fn takes(&self, name: &OsStr) -> bool {
        if is_temporary(&name.to_string_lossy()) {
            return self.temporary.is_match(name);
        }
        self.given.is_empty() || self.given.is_match(name)
    }
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).case_insensitive(true).build()
}

/// Hidden, or called as programs call what is not complete.
fn is_temporary(name: &str) -> bool {
    let name = name.to_lowercase();
    TEMPORARY_STARTS.iter().any(|start| name.starts_with(start))
        || TEMPORARY_ENDS.iter().any(|end| name.ends_with(end))
        || OF_THE_SYSTEM.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(patterns: &[&str], name: &str) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|&one| one.to_owned()).collect();
        Names::new(&patterns).takes(OsStr::new(name))
    }

    #[test]
    fn what_programs_have_not_finished_is_passed_over_unless_a_pattern_asks_for_it() {
        for name in [
            "~$report.docx",
            ".report.docx.swp",
            "a.PART",
            "a.tmp",
            "a.crdownload",
            ".hidden",
            "a.txt~",
            "Thumbs.db",
        ] {
            assert!(!takes(&[], name), "{name}");
            assert!(!takes(&["*"], name), "{name}");
        }
        assert!(takes(&["*.tmp"], "a.tmp") && !takes(&["*.tmp"], ".a.part"));
        assert!(takes(&[".*"], ".hidden"));
        assert!(takes(&[], "part.pdf") && takes(&[], "tmp"));
    }

    #[test]
    fn patterns_fit_whole_names_in_any_case() {
        assert!(takes(&["*.pdf"], "SCAN.PDF") && !takes(&["*.pdf"], "a.pdf.exe"));
        assert!(takes(&["scan-??.tif", "*.log"], "Scan-01.tif"));
        assert!(!takes(&["scan-??.tif"], "scan-001.tif"));
        assert!(takes(&["{a,b}.txt"], "b.txt"));
    }
}
