//! Settings: `server.toml` in the data directory, or `/etc/branchline/server.toml` for the data directory
//! that packages use, with drop-ins beside it, over which flags and the environment go.

mod desk;
mod files;
mod identity;
mod outbox;
mod service;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use desk::Desk;
pub use files::{Deduplicate, Files, Scanner};
pub use identity::{Authority, Ingress, Tls, check_url, is_proxy_name};
pub use outbox::Target;
pub use service::Service;

/// The file's name in the data directory.
pub const FILE_NAME: &str = "server.toml";
/// Where the packages keep the data.
pub const DATA_DIR: &str = "/var/lib/branchline-server";
/// Where the packages keep the settings for it, as Debian wants them.
const PACKAGED_FILE: &str = "/etc/branchline/server.toml";
/// Drop-ins that are read; more are a mistake.
const DROP_INS: usize = 64;
/// The longest time that stopping may be set to take.
const DRAIN_MOST_SECONDS: u64 = 300;

/// What `init` writes: every setting with its default, as a comment.
pub const TEMPLATE: &str = "\
# Settings of branchline-server. Each line shows a default; take the # away to change it.
# Flags and BRANCHLINE_SERVER_* in the environment go before what stands here.

# Where agents connect, over TLS with certificates on both sides.
# listen = \"0.0.0.0:8470\"

# How the log on standard error looks: \"text\" or \"json\".
# log_format = \"text\"

# Seconds that requests under way may take to finish when the server is stopped.
# drain_seconds = 10

[desk]
# Where central support's browsers and programs connect, over TLS with the server's certificate.
# listen = \"0.0.0.0:8471\"

[files]
# GiB of files of one agent that are under way at once: announced, and not yet scanned.
# agent_gib = 100

# As many files, at most.
# agent_files = 100000

# GiB of the largest file.
# file_gib = 100

# Days after which a file is given up whose content does not come.
# expire_days = 30

# MiB that files leave free on the disk of the data directory, for tickets.
# reserve_mib = 1024

# What a branch need not send because central has it: what any branch sent (\"organisation\"), or what
# that branch sent itself (\"branch\"), so that none can learn what others have.
# deduplicate = \"organisation\"

[scanner]
# clamd's socket. Without a scanner, files are held until a person releases them.
# socket = \"/run/clamav/clamd.ctl\"    (no default)

# Seconds that the scanner may take for a file.
# timeout_seconds = 180

# MiB of the largest file that the scanner is asked about; larger ones are too large, and a person can
# release them. Never more than MaxFileSize in clamd.conf: what is larger than that, clamd calls clean
# without having looked, unless AlertExceedsMax is yes there, which is a good idea in any case.
# largest_mib = 100

[tls]
# A certificate of your own for the server, instead of one that it makes and renews by itself: PEM files.
# The certificate's file holds the certificate, what leads to its root, and the root last.
# certificate = \"/etc/branchline/server.pem\"    (no default)
# key = \"/etc/branchline/server.key\"    (no default)

# TLS 1.2 as well as 1.3, for what stands in front of branches and cannot do better.
# tls12 = false

[authority]
# Where agents reach central; what enrolment tokens say. Without it: the server's first name and its port.
# url = \"https://central.example.org:8470\"    (no default)

# Days that an agent's certificate is good for. It is renewed after two thirds of them.
# certificate_days = 90

# Days after its end in which a certificate still renews: how long a branch may be offline.
# grace_days = 400

[ingress]
# Proxies that end TLS in front of central and name the agent in Client-Cert (RFC 9440): the names that
# `branchline-server cert issue-proxy` gave them.
# proxies = []

[service]
# By when tickets are to be answered and done, in business hours. Without [[service.goals]] nothing is due.
# Whoever changes this restarts the server; tickets that are there already are counted again.
# The time zone of the hours, and the hours; days on which nobody works: \"2026-12-24\", \"12-25\" (every year).
# zone = \"UTC\"
# hours = [\"Mon-Fri 08:00-17:00\"]
# holidays = []

# What is overdue counts from when central \"received\" a ticket, or from when the branch \"filed\" it. A
# ticket's page shows both.
# counts_from = \"received\"

# The first goal that fits a ticket's priority and category counts; one that names neither fits all.
# [[service.goals]]
# priority = \"urgent\"    (no default)
# category = \"till\"    (no default)
# first_answer = \"30m\"    (no default)
# resolution = \"4h\"    (no default)
# Whether nights, week-ends and holidays count, too.
# around_the_clock = false    (no default)

# Outside systems that are told what happens, by signed letters (Standard Webhooks); one [[outbox]] each.
# [[outbox]]
# name = \"monitoring\"    (no default)
# url = \"https://hooks.example.org/branchline\"    (no default)
# secret_file = \"/etc/branchline/monitoring.secret\"    (no default)
# Kinds of events; without it all that branches may know. Networks of your own that it may be in.
# kinds = [\"ticket_filed\", \"ticket_moved\"]    (no default)
# networks = [\"10.1.0.0/16\"]    (no default)
";

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object per line.
    Json,
}

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the ledger and this configuration are.
    pub data_dir: PathBuf,
    /// Where agents connect.
    pub listen: SocketAddr,
    /// Plain HTTP on a loopback address, where whoever is on this machine may speak for any agent. Not in
    /// the file, so that nobody leaves TLS off by a forgotten line.
    pub insecure_loopback: bool,
    /// How the log looks.
    pub log_format: LogFormat,
    /// Where central support works.
    pub desk: Desk,
    /// How much of files is taken.
    pub files: Files,
    /// Who scans them.
    pub scanner: Scanner,
    /// How the server proves itself.
    pub tls: Tls,
    /// What agents are issued.
    pub authority: Authority,
    /// Who may stand between.
    pub ingress: Ingress,
    /// By when tickets are to be answered and done.
    pub service: Service,
    /// Who outside is told what happens.
    pub outbox: Vec<Target>,
    drain_seconds: u64,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("read {path}: {fault}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        fault: std::io::Error,
    },
    /// The file says something that it cannot say.
    #[error("{path}: {fault}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        fault: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: SocketAddr,
    log_format: LogFormat,
    drain_seconds: u64,
    desk: Desk,
    files: Files,
    scanner: Scanner,
    tls: Tls,
    authority: Authority,
    ingress: Ingress,
    service: Service,
    outbox: Vec<Target>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8470)),
            log_format: LogFormat::Text,
            drain_seconds: 10,
            desk: Desk::default(),
            files: Files::default(),
            scanner: Scanner::default(),
            tls: Tls::default(),
            authority: Authority::default(),
            ingress: Ingress::default(),
            service: Service::default(),
            outbox: Vec::new(),
        }
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        self.files.check()?;
        self.scanner.check()?;
        self.tls.check()?;
        self.authority.check()?;
        self.ingress.check()?;
        self.service.goals()?;
        outbox::check(&self.outbox)?;
        if self.drain_seconds > DRAIN_MOST_SECONDS {
            return Err(format!(
                "drain_seconds must be at most {DRAIN_MOST_SECONDS}"
            ));
        }
        Ok(())
    }
}

impl Config {
    /// Reads the data directory's settings; a file that is missing has the defaults.
    pub fn read(data_dir: &Path) -> Result<Self, ConfigError> {
        let file = read_file(&settings_of(data_dir))?;
        Ok(Self {
            data_dir: data_dir.to_owned(),
            listen: file.listen,
            insecure_loopback: false,
            log_format: file.log_format,
            desk: file.desk,
            files: file.files,
            scanner: file.scanner,
            tls: file.tls,
            authority: file.authority,
            ingress: file.ingress,
            service: file.service,
            outbox: file.outbox,
            drain_seconds: file.drain_seconds,
        })
    }

    /// Where agents reach central: what `[authority] url` says, else the server's first name and the port
    /// that it listens on.
    pub fn url_for_agents(&self, names: &[String]) -> String {
        if let Some(url) = &self.authority.url {
            return url.clone();
        }
        let name = names.first().map_or("localhost", String::as_str);
        let host = match name.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => name.to_owned(),
        };
        format!("https://{host}:{}", self.listen.port())
    }

    /// How long stopping may take.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// The settings' file of a data directory. One that IT put elsewhere carries its own.
pub fn settings_of(data_dir: &Path) -> PathBuf {
    if data_dir == Path::new(DATA_DIR) {
        PathBuf::from(PACKAGED_FILE)
    } else {
        data_dir.join(FILE_NAME)
    }
}

/// The file with its drop-ins (`server.toml.d/*.toml`, in the order of their names) over it: each is
/// checked by itself, so that a fault names its file and line. Single settings are replaced; `[[outbox]]`
/// targets are added.
fn read_file(path: &Path) -> Result<File, ConfigError> {
    let mut all = toml::Table::new();
    let mut drop_ins = drop_ins(path)?;
    drop_ins.insert(0, path.to_owned());
    for path in drop_ins {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => continue,
            Err(fault) => return Err(ConfigError::Read { path, fault }),
        };
        let settings = parse(&text).and_then(|_| toml::from_str(&text).map_err(|f| f.to_string()));
        match settings {
            Ok(settings) => lay_over(&mut all, settings),
            Err(fault) => return Err(ConfigError::Content { path, fault }),
        }
    }
    let merged = File::deserialize(all).map_err(|fault| fault.to_string());
    let checked = merged.and_then(|file| file.check().map(|()| file));
    checked.map_err(|fault| ConfigError::Content {
        path: path.to_owned(),
        fault,
    })
}

fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let read = std::fs::read_dir(&folder).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<Result<Vec<_>, _>>()
    });
    let mut found = match read {
        Ok(found) => found,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(fault) => {
            return Err(ConfigError::Read {
                path: folder,
                fault,
            });
        }
    };
    found.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
    });
    if found.len() > DROP_INS {
        let fault = format!("holds more than {DROP_INS} files");
        return Err(ConfigError::Content {
            path: folder,
            fault,
        });
    }
    found.sort();
    Ok(found)
}

fn lay_over(below: &mut toml::Table, above: toml::Table) {
    use toml::Value;
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (Some(Value::Array(below)), Value::Array(above)) if key == "outbox" => {
                below.extend(above);
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn parse(text: &str) -> Result<File, String> {
    let file: File = toml::from_str(text).map_err(|fault| {
        let line = fault.span().map(|span| {
            let before = text.get(..span.start).unwrap_or_default();
            before.matches('\n').count() + 1
        });
        let place = line.map_or_else(String::new, |line| format!("line {line}: "));
        format!("{place}{}", fault.message())
    })?;
    file.check()?;
    Ok(file)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_says_the_defaults() {
        let defaults = parse(TEMPLATE).unwrap();
        let spelled_out: String = TEMPLATE
            .lines()
            .filter_map(|line| match line.strip_prefix("# ") {
                Some(setting) => {
                    let is_default = setting.contains(" = ") && !setting.contains("(no default)");
                    is_default.then_some(setting)
                }
                None => line.starts_with('[').then_some(line),
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let written = parse(&spelled_out).unwrap();
        assert_eq!(written.listen, defaults.listen);
        assert_eq!(written.log_format, defaults.log_format);
        assert_eq!(written.drain_seconds, defaults.drain_seconds);
        assert_eq!(written.desk, defaults.desk);
        assert_eq!(written.files, defaults.files);
        assert_eq!(written.scanner, defaults.scanner);
        assert_eq!(written.tls, defaults.tls);
        assert_eq!(written.authority, defaults.authority);
        assert_eq!(written.ingress, defaults.ingress);
        assert_eq!(written.service, defaults.service);
        assert_eq!(defaults.files, Files::default());
        let settings = spelled_out.lines().filter(|line| line.contains(" = "));
        assert_eq!(settings.count(), 20);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let fault = parse("listen = \"127.0.0.1:1\"\nlisten_on = 1\n")
            .err()
            .unwrap();
        assert!(
            fault.contains("line 2") && fault.contains("listen_on"),
            "{fault}"
        );
        let fault = parse("listen = \"somewhere\"").err().unwrap();
        assert!(fault.contains("line 1"), "{fault}");
        assert!(parse("drain_seconds = 100000").is_err());
        assert!(parse("drain_seconds = -1").is_err());
        for (bad, key) in [
            ("agent_gib = 0", "agent_gib"),
            ("agent_files = 0", "agent_files"),
            ("file_gib = 0", "file_gib"),
            ("file_gib = 2000", "file_gib"),
            ("expire_days = 0", "expire_days"),
            ("deduplicate = \"all\"", "line 2"),
        ] {
            let fault = parse(&format!("[files]\n{bad}\n")).err().unwrap();
            assert!(fault.contains(key), "{bad}: {fault}");
        }
        for (bad, key) in [
            ("socket = \"clamd.sock\"", "absolute"),
            ("timeout_seconds = 0", "timeout_seconds"),
            ("timeout_seconds = 3601", "timeout_seconds"),
            ("largest_mib = 0", "largest_mib"),
            ("port = 3310", "line 2"),
        ] {
            let fault = parse(&format!("[scanner]\n{bad}\n")).err().unwrap();
            assert!(fault.contains(key), "{bad}: {fault}");
        }
    }

    #[test]
    fn drop_ins_go_over_the_file_and_are_named_in_faults() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "server.toml",
            "drain_seconds = 1\n[files]\nfile_gib = 2\nreserve_mib = 3\n",
        );
        std::fs::create_dir(folder.path().join("server.toml.d")).unwrap();
        write("server.toml.d/20.toml", "[files]\nfile_gib = 5\n");
        write(
            "server.toml.d/10.toml",
            "drain_seconds = 4\n[files]\nfile_gib = 4\n",
        );
        write("server.toml.d/note.txt", "not = read");
        let config = Config::read(folder.path()).unwrap();
        assert_eq!(config.drain(), Duration::from_secs(4));
        assert_eq!((config.files.file_gib, config.files.reserve_mib), (5, 3));
        write("server.toml.d/30.toml", "\nlisten_on = 1\n");
        let fault = Config::read(folder.path()).unwrap_err().to_string();
        assert!(
            fault.contains("30.toml: line 2") && fault.contains("listen_on"),
            "{fault}"
        );
        assert_eq!(settings_of(Path::new(DATA_DIR)), Path::new(PACKAGED_FILE));
    }

    #[test]
    fn settings_of_identity_have_bounds() {
        for (bad, said) in [
            ("[tls]\ncertificate = \"/a.pem\"", "belong together"),
            ("[tls]\ncertificate = \"a.pem\"\nkey = \"/a\"", "absolute"),
            ("[authority]\ncertificate_days = 0", "certificate_days"),
            ("[authority]\ncertificate_days = 826", "certificate_days"),
            ("[authority]\ngrace_days = 4000", "grace_days"),
            ("[authority]\nurl = \"http://central\"", "https://"),
            ("[authority]\nurl = \"https://central/x\"", "https://"),
            ("[authority]\nurl = \"https://u:p@central\"", "https://"),
            ("[ingress]\nproxies = [\"DMZ 1\"]", "DMZ 1"),
        ] {
            let fault = parse(bad).err().unwrap();
            assert!(fault.contains(said), "{bad}: {fault}");
        }
    }
}
