//! Where an enrolment token may lie, and how it is taken away once it was used.
//!
//! A token is a secret until it is used, so that what can be erased is erased: files are removed, the line
//! in the configuration is cut out by replacing the file whole, with its mode and owner. The environment
//! and a systemd credential belong to whoever set them; that they still hold the token is said once.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use branchline_protocol::enrolment::{Token, TokenFault};
use branchline_protocol::id::Digest;
use branchline_protocol::limits;
use serde::Deserialize;
use zeroize::Zeroizing;

/// In the data folder: what the installer writes.
pub const TOKEN_FILE: &str = "enrolment.token";
/// The environment variable.
pub const TOKEN_VARIABLE: &str = "BRANCHLINE_ENROLMENT_TOKEN";
/// The name of the systemd credential.
const CREDENTIAL: &str = "enrolment-token";
/// The key in the configuration file.
const CONFIG_KEY: &str = "enrolment_token";
/// Bytes of a file with a token: blanks and a line's end around it are nobody's fault.
const TOKEN_FILE_BYTES: u64 = 4 * limits::TOKEN_CHARS as u64;
/// Bytes of a configuration file, as where it is read.
const CONFIG_BYTES: u64 = 64 * 1024;

/// Where a token was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file that holds it and nothing else.
    File(PathBuf),
    /// The configuration file's line.
    Configuration(PathBuf),
    /// A systemd credential.
    Credential(PathBuf),
    /// The environment.
    Environment,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Configuration(path) => write!(f, "{CONFIG_KEY} in {}", path.display()),
            Self::Credential(path) => write!(f, "the credential {}", path.display()),
            Self::Environment => write!(f, "the environment variable {TOKEN_VARIABLE}"),
        }
    }
}

/// A token, or what stands in a token's place.
#[derive(Debug)]
pub struct Found {
    /// Where.
    pub place: Place,
    /// What.
    pub token: Result<Token, FoundFault>,
}

/// Why what was found is no token. Says nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum FoundFault {
    /// It is none.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

/// What became of a token that was used.
#[derive(Debug)]
pub enum Erased {
    /// It is gone.
    Gone,
    /// It is not ours to erase.
    NotOurs,
    /// It could not be erased.
    Failed(io::Error),
}

/// All the places of one agent.
#[derive(Debug, Clone)]
pub struct TokenSources {
    /// The agent's data folder.
    pub data_dir: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// `enrolment_token_file` of the configuration.
    pub file: Option<PathBuf>,
}

/// What of the configuration file matters here; read anew each time, so that a token that is written into
/// it is found without a restart.
#[derive(Deserialize)]
struct ConfigToken {
    enrolment_token: Option<toml::Spanned<Zeroizing<String>>>,
}

impl TokenSources {
    /// All that lies about now, in the order in which it is tried. An empty place is none.
    pub fn look(&self) -> Vec<Found> {
        let files = [Some(self.data_dir.join(TOKEN_FILE)), self.file.clone()];
        let mut found: Vec<Found> = files
            .into_iter()
            .flatten()
            .filter_map(|path| in_file(&path, Place::File(path.clone())))
            .collect();
        if let Some(text) = self.configured() {
            let place = Place::Configuration(self.config.clone());
            found.extend(in_text(&text, place));
        }
        if let Some(path) = credential() {
            found.extend(in_file(&path, Place::Credential(path.clone())));
        }
        if let Ok(text) = std::env::var(TOKEN_VARIABLE) {
            found.extend(in_text(&Zeroizing::new(text), Place::Environment));
        }
        found
    }

    /// Takes a used token away wherever it lies, and tells for each place what came of it.
    pub fn erase(&self, used: Digest) -> Vec<(Place, Erased)> {
        let is_used = |found: &Found| {
            let token = found.token.as_ref();
            token.is_ok_and(|token| token.secret.hash() == used)
        };
        let places = self.look().into_iter().filter(is_used);
        places
            .map(|found| {
                let erased = Self::erase_place(&found.place);
                (found.place, erased)
            })
            .collect()
    }

    fn erase_place(place: &Place) -> Erased {
        let done = match place {
            Place::File(path) => remove(path),
            Place::Configuration(path) => cut_out(path),
            Place::Credential(_) | Place::Environment => return Erased::NotOurs,
        };
        match done {
            Ok(()) => Erased::Gone,
            Err(fault) => Erased::Failed(fault),
        }
    }

    fn configured(&self) -> Option<Zeroizing<String>> {
        let text = read_bounded(&self.config, CONFIG_BYTES).ok()?;
        let config: ConfigToken = toml::from_str(&text).ok()?;
        config.enrolment_token.map(toml::Spanned::into_inner)
    }
}

fn credential() -> Option<PathBuf> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    Some(Path::new(&folder).join(CREDENTIAL))
}

fn in_file(path: &Path, place: Place) -> Option<Found> {
    match read_bounded(path, TOKEN_FILE_BYTES) {
        Ok(text) => in_text(&text, place),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
        Err(fault) => Some(Found {
            place,
            token: Err(FoundFault::Io(fault)),
        }),
    }
}

fn in_text(text: &str, place: Place) -> Option<Found> {
    if text.trim().is_empty() {
        return None;
    }
    let token = text.parse().map_err(FoundFault::Token);
    Some(Found { place, token })
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    // Windows' editors put a mark before the text.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    sync_folder_of(path)
}

/// Replaces the configuration by one without the token. A loss of power leaves one or the other whole.
fn cut_out(path: &Path) -> io::Result<()> {
    // A link stays a link.
    let path = std::fs::canonicalize(path)?;
    let text = read_bounded(&path, CONFIG_BYTES)?;
    let config: ConfigToken = toml::from_str(&text).map_err(|_| {
        io::Error::other("the configuration has changed meanwhile and cannot be read")
    })?;
    let Some(token) = config.enrolment_token else {
        return Ok(());
    };
    let rest = without(&text, &token).ok_or_else(|| io::Error::other("the line is not found"))?;
    replace_as_it_was(&path, rest.as_bytes())
}

/// The text without the lines of the key, and without the token where it stands elsewhere, such as in a
/// comment.
fn without(text: &str, token: &toml::Spanned<Zeroizing<String>>) -> Option<Zeroizing<String>> {
    let span = token.span();
    let (before, behind) = (text.get(..span.start)?, text.get(span.end..)?);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let rest = behind
        .find('\n')
        .map_or("", |end| behind.get(end + 1..).unwrap_or(""));
    let rest = format!("{}{rest}", text.get(..start)?);
    let secret = token.get_ref().trim();
    Some(Zeroizing::new(rest.replace(secret, "")))
}

fn replace_as_it_was(path: &Path, content: &[u8]) -> io::Result<()> {
    let former = std::fs::metadata(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = crate::platform::make_private(&temporary)?;
        file.write_all(content)?;
        crate::platform::look_like(&file, &former)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    sync_folder_of(path)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), crate::platform::sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use branchline_protocol::enrolment::{Fingerprint, Secret};

    fn token(n: u8) -> Token {
        Token {
            url: "https://central.example.org:8470".to_owned(),
            anchor: Fingerprint([7; 32]),
            secret: Secret::from_bytes([n; 32]),
        }
    }

    fn sources(folder: &Path) -> TokenSources {
        TokenSources {
            data_dir: folder.join("data"),
            config: folder.join("agent.toml"),
            file: Some(folder.join("token.txt")),
        }
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        folder
    }

    #[test]
    fn a_token_is_found_in_each_place_and_gone_after_use() {
        let folder = folder();
        let sources = sources(folder.path());
        let text = token(1).to_string();
        let config =
            format!("server = \"x\" # {text}\nenrolment_token = \"{text}\"\nretention_days = 3\n");
        std::fs::write(&sources.config, config).unwrap();
        std::fs::write(
            sources.data_dir.join(TOKEN_FILE),
            format!("\u{FEFF}{text}\r\n"),
        )
        .unwrap();
        std::fs::write(folder.path().join("token.txt"), &text).unwrap();
        let found = sources.look();
        assert_eq!(found.len(), 3);
        for found in found {
            assert_eq!(found.token.unwrap(), token(1), "{}", found.place);
        }
        let erased = sources.erase(token(2).secret.hash());
        assert!(erased.is_empty(), "another token stays");
        let erased = sources.erase(token(1).secret.hash());
        assert_eq!(erased.len(), 3);
        assert!(
            erased.iter().all(|(_, came)| matches!(came, Erased::Gone)),
            "{erased:?}"
        );
        assert!(sources.look().is_empty());
        for entry in ["agent.toml", "data", "token.txt", "agent.toml.new"] {
            let left = std::fs::read_to_string(folder.path().join(entry)).unwrap_or_default();
            assert!(!left.contains(&text[6..]), "{entry}: {left}");
        }
        let config = std::fs::read_to_string(&sources.config).unwrap();
        assert_eq!(config, "server = \"x\" # \nretention_days = 3\n");
    }

    #[test]
    fn only_the_token_goes_from_a_configuration() {
        let text = token(1).to_string();
        for (config, rest) in [
            (format!("enrolment_token = '{text}'"), ""),
            (
                format!("a = 1\nenrolment_token = '{text}' # for LYN\nb = 2"),
                "a = 1\nb = 2",
            ),
            (
                format!("a = 1\r\nenrolment_token = \"{text}\"\r\nb = 2\r\n"),
                "a = 1\r\nb = 2\r\n",
            ),
            (
                format!("enrolment_token = \"\"\"\n{text}\n\"\"\"\n[files]\nx = 1\n"),
                "",
            ),
        ] {
            let folder = folder();
            let path = folder.path().join("agent.toml");
            std::fs::write(&path, &config).unwrap();
            cut_out(&path).unwrap();
            let left = std::fs::read_to_string(&path).unwrap();
            assert!(!left.contains(&text[6..]), "{config}: {left}");
            if config.contains("\"\"\"") {
                assert!(left.contains("[files]\nx = 1\n"), "{left}");
                toml::from_str::<toml::Table>(&left).unwrap();
            } else {
                assert_eq!(left, rest, "{config}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_configuration_keeps_its_mode_and_its_name() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let (real, link) = (
            folder.path().join("real.toml"),
            folder.path().join("agent.toml"),
        );
        let text = token(1).to_string();
        std::fs::write(&real, format!("enrolment_token = '{text}'\n")).unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        cut_out(&link).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            std::fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "");
    }

    #[test]
    fn what_is_no_token_is_told_so_and_not_shown() {
        let folder = folder();
        let sources = sources(folder.path());
        let text = token(1).to_string();
        let short = &text[..60];
        std::fs::write(sources.data_dir.join(TOKEN_FILE), short).unwrap();
        std::fs::write(folder.path().join("token.txt"), [0xFF, 0xFE, 0, 1]).unwrap();
        let found = sources.look();
        assert_eq!(found.len(), 2);
        let said = format!("{found:?} {}", found[0].token.as_ref().unwrap_err());
        assert!(said.contains("not whole"), "{said}");
        assert!(!said.contains(&short[6..20]), "{said}");
    }
}
