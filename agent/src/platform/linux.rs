//! Linux: the Unix socket with the caller's user, free disk space, file modes.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Where the configuration is unless somebody says otherwise.
pub fn default_config() -> PathBuf {
    PathBuf::from("/etc/branchline/agent.toml")
}

/// Where the journal is unless somebody says otherwise.
pub fn default_data_dir() -> PathBuf {
    PathBuf::from("/var/lib/branchline-agent")
}

/// The local API's socket.
pub struct LocalListener(UnixListener);

/// Who speaks on a connection, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's name, or `uid N` where the system has none for it.
    pub user: String,
    /// Runs this computer: sees what anybody filed on it.
    pub is_administrator: bool,
}

impl LocalListener {
    /// Takes the socket that systemd holds for us, with the access that its unit says; else binds it,
    /// taking the place of one that nobody listens on any more, and every local user may connect:
    /// filing is for everybody, and the kernel tells who it is.
    pub fn bind(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if let Some(listener) = super::service::inherited(path)? {
            listener.set_nonblocking(true)?;
            return UnixListener::from_std(listener).map(Self);
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another agent is running on this socket",
            ));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match std::fs::remove_file(path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        Ok(Self(listener))
    }

    /// The next connection.
    pub async fn accept(&mut self) -> io::Result<UnixStream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }

    /// Who speaks on a connection. May ask a directory service, so it runs where it may block.
    pub async fn caller(stream: &UnixStream) -> io::Result<Caller> {
        let uid = stream.peer_cred()?.uid();
        let named = tokio::task::spawn_blocking(move || {
            nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        });
        let user = match named.await {
            Ok(Ok(Some(user))) => user.name,
            _ => format!("uid {uid}"),
        };
        // Whoever runs as the agent can read its store anyway.
        let is_administrator = uid == 0 || uid == rustix::process::geteuid().as_raw();
        Ok(Caller {
            user,
            is_administrator,
        })
    }
}

/// Bytes free for this user on the file's disk.
pub fn disk_free(path: &Path) -> Option<u64> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    let facts = rustix::fs::statvfs(folder).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Makes a folder readable by its owner alone.
pub fn restrict_to_owner(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}
