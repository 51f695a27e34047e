//! Windows: the named pipe with the caller's user, known folders.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::windows::named_pipe::NamedPipeServer;

/// Where the configuration is unless somebody says otherwise.
pub fn default_config() -> PathBuf {
    program_data().join(r"Branchline\agent.toml")
}

/// Where the journal is unless somebody says otherwise; the installer leaves the folder to the service
/// and to administrators.
pub fn default_data_dir() -> PathBuf {
    program_data().join(r"Branchline\agent")
}

/// The system is asked and not the environment, which a service need not have.
fn program_data() -> PathBuf {
    system::program_data().unwrap_or_else(|| PathBuf::from(r"C:\ProgramData"))
}

/// The local API's pipe: one instance waits for the next client at any time.
pub struct LocalListener {
    name: PathBuf,
    next: NamedPipeServer,
}

/// Who speaks on a connection, as the system says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user's account name.
    pub user: String,
    /// Runs this computer: sees what anybody filed on it.
    pub is_administrator: bool,
}

impl LocalListener {
    /// Makes the pipe; fails where another process has it, so that nobody can listen in the agent's
    /// place.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let next = super::pipe::instance(path, true)?;
        Ok(Self {
            name: path.to_owned(),
            next,
        })
    }

    /// The next connection.
    pub async fn accept(&mut self) -> io::Result<NamedPipeServer> {
        self.next.connect().await?;
        let next = super::pipe::instance(&self.name, false)?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Who speaks on a connection.
    pub async fn caller(pipe: &NamedPipeServer) -> io::Result<Caller> {
        system::caller(pipe)
    }
}

/// Bytes free on the file's disk.
pub fn disk_free(path: &Path) -> Option<u64> {
    system::disk_free(path)
}

/// The folder under ProgramData inherits its access list from the installer.
pub fn restrict_to_owner(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The calls that the standard library does not offer.
#[expect(
    unsafe_code,
    reason = "the Windows API is called directly; each call states why it is sound"
)]
mod system {
    use std::ffi::OsString;
    use std::io;
    use std::os::windows::ffi::{OsStrExt, OsStringExt};
    use std::os::windows::io::AsRawHandle;
    use std::path::{Path, PathBuf};

    use tokio::net::windows::named_pipe::NamedPipeServer;
    use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
    use windows_sys::Win32::System::Com::CoTaskMemFree;
    use windows_sys::Win32::System::Pipes::GetNamedPipeHandleStateW;
    use windows_sys::Win32::UI::Shell::{FOLDERID_ProgramData, SHGetKnownFolderPath};

    use super::Caller;

    /// Longest user name, in UTF-16 units (UNLEN + 1).
    const NAME_UNITS: usize = 257;

    pub(super) fn caller(pipe: &NamedPipeServer) -> io::Result<Caller> {
        let mut name = [0_u16; NAME_UNITS];
        let null = std::ptr::null_mut();
        // SAFETY: the handle is open for as long as `pipe` is borrowed; the buffer's length is given.
        let found = unsafe {
            GetNamedPipeHandleStateW(
                pipe.as_raw_handle(),
                null,
                null,
                null,
                null,
                name.as_mut_ptr(),
                u32::try_from(name.len()).unwrap_or(0),
            )
        };
        if found == 0 {
            return Err(io::Error::last_os_error());
        }
        let name = name.split(|&unit| unit == 0).next().unwrap_or_default();
        let user = String::from_utf16_lossy(name);
        // The service's own account; members of a group are not told by the pipe.
        let is_administrator = user.eq_ignore_ascii_case("SYSTEM");
        Ok(Caller {
            user,
            is_administrator,
        })
    }

    pub(super) fn disk_free(path: &Path) -> Option<u64> {
        let folder = if path.is_dir() { path } else { path.parent()? };
        let wide: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
        let mut free = 0_u64;
        let null = std::ptr::null_mut();
        // SAFETY: `wide` ends in zero and outlives the call; `free` is where the answer goes.
        let found = unsafe { GetDiskFreeSpaceExW(wide.as_ptr(), &mut free, null, null) };
        (found != 0).then_some(free)
    }

    pub(super) fn program_data() -> Option<PathBuf> {
        let mut path = std::ptr::null_mut();
        // SAFETY: the folder's name is the system's own constant, no user's token is given, and `path`
        // is where the answer goes.
        let found = unsafe {
            SHGetKnownFolderPath(&FOLDERID_ProgramData, 0, std::ptr::null_mut(), &mut path)
        };
        let text = (found == 0 && !path.is_null()).then(|| {
            // SAFETY: the call succeeded, so `path` is a text that ends in zero.
            let length = (0..).take_while(|&n| unsafe { *path.add(n) } != 0).count();
            // SAFETY: as above; `length` units lie before the zero.
            OsString::from_wide(unsafe { std::slice::from_raw_parts(path, length) })
        });
        // SAFETY: the memory came from the system, or is none, and is not used afterwards.
        unsafe { CoTaskMemFree(path.cast()) };
        text.map(PathBuf::from)
    }
}
