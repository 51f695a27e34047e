//! What the configuration is put together from, the later over the earlier: `agent.toml`, its drop-ins
//! (`agent.toml.d/*.toml`, in the order of their names), the environment, and on Windows group policy.
//!
//! Invariants:
//! - Each source is checked by itself first, so that a fault names the file and line, the variable or the
//!   policy that it is in.
//! - A later source replaces single settings; `[[drop_folder]]` rules are added to those before it.
//! - A token to join with stands in `agent.toml` or nowhere: what erases it after use looks only there.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError, read_bounded};

/// Drop-ins that are read; more are a mistake.
const DROP_INS: usize = 64;
/// What a variable's name starts with; `__` stands between a table and its key:
/// `BRANCHLINE_AGENT_FILES__QUOTA_MIB`.
const VARIABLE: &str = "BRANCHLINE_AGENT_";
/// Names the file itself, and so cannot be a setting in it.
const NAMES_THE_FILE: &str = "BRANCHLINE_AGENT_CONFIG";
/// Lists that grow from source to source.
const LISTS: [&str; 1] = ["drop_folder"];
/// Belongs to one source alone.
const TOKEN: &str = "enrolment_token";

/// One source's settings.
struct Layer {
    /// Named in errors: a path, a variable, the policy's key.
    source: PathBuf,
    settings: Table,
}

/// Everything that says how this agent is to run. `environment` and `policy` are arguments so that tests
/// do not depend on the machine's.
pub(super) fn merged(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
    policy: Table,
) -> Result<Config, ConfigError> {
    let mut layers = vec![in_file(path)?];
    for drop_in in drop_ins(path)? {
        let layer = in_file(&drop_in)?;
        if layer.settings.contains_key(TOKEN) {
            let fault = format!(
                "{TOKEN} belongs into {}, from which it is erased",
                path.display()
            );
            return Err(wrong(&drop_in, fault));
        }
        layers.push(layer);
    }
    for (name, value) in environment {
        layers.extend(in_variable(&name, &value)?);
    }
    layers.push(Layer {
        source: PathBuf::from(crate::platform::POLICY),
        settings: policy,
    });
    let mut all = Table::new();
    for layer in layers {
        check(&layer)?;
        lay_over(&mut all, layer.settings);
    }
    Config::deserialize(all).map_err(|fault| wrong(path, fault.to_string()))
}

fn wrong(source: &Path, fault: String) -> ConfigError {
    ConfigError::Parse {
        path: source.to_owned(),
        fault,
    }
}

/// Files are read as settings twice: as such, which gives errors their line, and as what can be merged.
fn in_file(path: &Path) -> Result<Layer, ConfigError> {
    let text = read_bounded(path)?;
    let fault_at = |fault: toml::de::Error| {
        let before = fault.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
        wrong(path, format!("line {line}: {}", fault.message()))
    };
    toml::from_str::<Config>(&text).map_err(fault_at)?;
    let settings = toml::from_str(&text).map_err(fault_at)?;
    Ok(Layer {
        source: path.to_owned(),
        settings,
    })
}

fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => {
            return Err(ConfigError::Read {
                path: folder,
                fault,
            });
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|fault| ConfigError::Read {
            path: folder.clone(),
            fault,
        })?;
        let file = entry.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(file);
        }
        if found.len() > DROP_INS {
            return Err(wrong(&folder, format!("holds more than {DROP_INS} files")));
        }
    }
    found.sort();
    Ok(found)
}

fn in_variable(name: &str, value: &str) -> Result<Option<Layer>, ConfigError> {
    let Some(key) = name.strip_prefix(VARIABLE) else {
        return Ok(None);
    };
    if name == NAMES_THE_FILE {
        return Ok(None);
    }
    let key = key.to_ascii_lowercase();
    if key.starts_with(TOKEN) {
        let fault =
            "is no setting; a token in the environment stands in BRANCHLINE_ENROLMENT_TOKEN";
        return Err(wrong(Path::new(name), fault.to_owned()));
    }
    // What is no number, truth value or list is a text, without quotes.
    let value = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut read| read.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let mut settings = Table::new();
    match key.split_once("__") {
        Some((table, key)) => {
            let inner = Table::from_iter([(key.to_owned(), value)]);
            settings.insert(table.to_owned(), Value::Table(inner));
        }
        None => {
            settings.insert(key, value);
        }
    }
    Ok(Some(Layer {
        source: PathBuf::from(name),
        settings,
    }))
}

fn check(layer: &Layer) -> Result<(), ConfigError> {
    Config::deserialize(layer.settings.clone())
        .map(|_| ())
        .map_err(|fault| wrong(&layer.source, fault.to_string().trim().to_owned()))
}

fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (Some(Value::Array(below)), Value::Array(above)) if LISTS.contains(&key.as_str()) => {
                below.extend(above);
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with `agent.toml` and its drop-ins.
    fn folder(main: &str, drop_ins: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, main).unwrap();
        let beside = folder.path().join("agent.toml.d");
        std::fs::create_dir(&beside).unwrap();
        for (name, text) in drop_ins {
            std::fs::write(beside.join(name), text).unwrap();
        }
        (folder, path)
    }

    fn environment(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(own).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn later_sources_go_over_earlier_ones() {
        let (_folder, path) = folder(
            "retention_days = 1\njournal_limit_mib = 10\ntls12 = true\n[files]\nquota_mib = 1\nreserve_mib = 2\n",
            &[
                ("20-b.toml", "retention_days = 3\n[files]\nquota_mib = 30\n"),
                ("10-a.toml", "retention_days = 2\njournal_limit_mib = 20\n"),
                ("README", "not = read"),
            ],
        );
        let variables = [
            ("BRANCHLINE_AGENT_PROXY", "http://proxy:3128"),
            ("BRANCHLINE_AGENT_FILES__RESERVE_MIB", "4"),
            ("BRANCHLINE_AGENT_CONFIG", "elsewhere"),
            ("PATH", "x"),
        ];
        let policy = toml::from_str("retention_days = 9").unwrap();
        let config = merged(&path, environment(&variables), policy).unwrap();
        assert_eq!(config.retention_days, 9);
        assert_eq!(config.journal_limit_mib, 20);
        assert!(config.tls12);
        assert_eq!(config.files.quota_mib, 30);
        assert_eq!(config.files.reserve_mib, 4);
        assert_eq!(config.proxy, "http://proxy:3128".parse().unwrap());
    }

    #[test]
    fn drop_folders_add_up() {
        let rule = |name: &str| format!("[[drop_folder]]\npath = '/srv/{name}'\n");
        let (one, two) = (rule("one"), rule("two"));
        let (_folder, path) = folder(&one, &[("two.toml", &two)]);
        let config = merged(&path, environment(&[]), Table::new()).unwrap();
        let paths: Vec<_> = config.drop_folders.iter().map(|rule| &rule.path).collect();
        assert_eq!(paths, [Path::new("/srv/one"), Path::new("/srv/two")]);
    }

    #[test]
    fn a_fault_names_its_source() {
        let said = |main: &str, drop_in: &str, variable: (&str, &str), policy: &str| {
            let (_folder, path) = folder(main, &[("x.toml", drop_in)]);
            let policy = toml::from_str(policy).unwrap();
            let read = merged(&path, environment(&[variable]), policy);
            read.unwrap_err().to_string()
        };
        let none = ("X", "y");
        let main = said("\nretention = 1", "", none, "");
        assert!(
            main.contains("agent.toml: line 2: unknown field `retention`"),
            "{main}"
        );
        let drop_in = said("", "tls12 = 3", none, "");
        assert!(drop_in.contains("x.toml: line 1"), "{drop_in}");
        let variable = said("", "", ("BRANCHLINE_AGENT_RETENTION", "1"), "");
        assert!(
            variable.contains("BRANCHLINE_AGENT_RETENTION: unknown field"),
            "{variable}"
        );
        let policy = said("", "", none, "tls12 = 'x'");
        assert!(policy.contains(crate::platform::POLICY), "{policy}");
        let token = said("", "enrolment_token = 'blt1_5ec4e7'", none, "");
        assert!(
            token.contains("agent.toml, from which") && !token.contains("5ec4e7"),
            "{token}"
        );
        let token = said(
            "",
            "",
            ("BRANCHLINE_AGENT_ENROLMENT_TOKEN", "blt1_5ec4e7"),
            "",
        );
        assert!(
            token.contains("BRANCHLINE_ENROLMENT_TOKEN") && !token.contains("5ec4e7"),
            "{token}"
        );
    }
}
