//! Windows: files that others put into a folder, looked at without following, locking or changing them.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf, Prefix};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES,
    FILE_SHARE_DELETE, FILE_SHARE_READ,
};

use super::{FileFacts, FilePrint};

/// What Windows answers where sharing does not allow an opening.
const SHARING_VIOLATION: i32 = 32;

/// What a path names, without following a link.
pub fn look(path: &Path) -> io::Result<FileFacts> {
    facts_of(&open_to_look(
        path,
        FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT,
    )?)
}

/// What an open file is.
pub fn facts_of(file: &File) -> io::Result<FileFacts> {
    calls::facts_of(file)
}

/// What a folder is, links followed.
pub fn look_at_folder(path: &Path) -> io::Result<FileFacts> {
    facts_of(&open_to_look(path, FILE_FLAG_BACKUP_SEMANTICS)?)
}

/// Asking for attributes alone succeeds whatever sharing others allow.
fn open_to_look(path: &Path, flags: u32) -> io::Result<File> {
    File::options()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(flags)
        .open(path)
}

/// Opens a file for reading, not through a link; others may go on doing with it what they like.
pub fn open_dropped(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)
}

/// The name of a file's owner, which this platform's part does not ask for.
pub fn owner_of(_facts: &FileFacts) -> Option<String> {
    None
}

/// Which of these files somebody has open for writing: an opening that does not share writing fails
/// while there is a writer. It is given back at once.
pub fn open_for_writing(files: &[(PathBuf, FilePrint)]) -> HashSet<[u8; 16]> {
    let is_written = |path: &Path| {
        let opened = File::options()
            .read(true)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE)
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
            .open(path);
        opened.is_err_and(|fault| fault.raw_os_error() == Some(SHARING_VIOLATION))
    };
    let written = files.iter().filter(|(path, _)| is_written(path));
    written.map(|(_, print)| print.identity).collect()
}

/// Whether a folder lies on another machine, whose changes this one may not be told of.
pub fn is_remote(folder: &Path) -> bool {
    matches!(
        folder.components().next(),
        Some(Component::Prefix(prefix))
            if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
    )
}

/// Renames a file, and fails where the new name is taken.
pub fn move_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    calls::move_without_replacing(from, to)
}

/// A name's UTF-16 units, as they are kept.
pub fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.encode_wide().flat_map(u16::to_le_bytes).collect()
}

/// The name that these units were, if they were one.
pub fn name_of(bytes: &[u8]) -> Option<OsString> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().copied().map(u16::from_le_bytes).collect();
    rest.is_empty().then(|| OsString::from_wide(&units))
}

/// The calls that the standard library does not offer.
#[expect(
    unsafe_code,
    reason = "the Windows API is called directly; each call states why it is sound"
)]
mod calls {
    use std::fs::File;
    use std::io;
    use std::os::windows::ffi::OsStrExt;
    use std::os::windows::io::AsRawHandle;
    use std::path::Path;

    use windows_sys::Win32::Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DEVICE, FILE_ATTRIBUTE_DIRECTORY,
        FILE_ATTRIBUTE_REPARSE_POINT, FILE_BASIC_INFO, FileBasicInfo, GetFileInformationByHandle,
        GetFileInformationByHandleEx, MoveFileExW,
    };

    use super::super::{FileFacts, FileKind, FilePrint};

    pub(super) fn facts_of(file: &File) -> io::Result<FileFacts> {
        let mut by_handle = BY_HANDLE_FILE_INFORMATION::default();
        // SAFETY: the handle is open for as long as `file` is borrowed; the answer goes where it fits.
        let found = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &mut by_handle) };
        if found == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut basic = FILE_BASIC_INFO::default();
        let bytes = u32::try_from(size_of::<FILE_BASIC_INFO>()).unwrap_or(0);
        // SAFETY: as above, and the buffer's length is its type's.
        let found = unsafe {
            GetFileInformationByHandleEx(
                file.as_raw_handle(),
                FileBasicInfo,
                std::ptr::from_mut(&mut basic).cast(),
                bytes,
            )
        };
        if found == 0 {
            return Err(io::Error::last_os_error());
        }
        let has = |attribute: u32| basic.FileAttributes & attribute != 0;
        let kind = if has(FILE_ATTRIBUTE_REPARSE_POINT) {
            FileKind::Link
        } else if has(FILE_ATTRIBUTE_DIRECTORY) {
            FileKind::Folder
        } else if has(FILE_ATTRIBUTE_DEVICE) {
            FileKind::Device
        } else {
            FileKind::File
        };
        let wide = |high: u32, low: u32| (u64::from(high) << 32) | u64::from(low);
        let mut identity = [0; 16];
        let (volume, index) = identity.split_at_mut(8);
        volume.copy_from_slice(&u64::from(by_handle.dwVolumeSerialNumber).to_be_bytes());
        let file_index = wide(by_handle.nFileIndexHigh, by_handle.nFileIndexLow);
        index.copy_from_slice(&file_index.to_be_bytes());
        Ok(FileFacts {
            kind,
            print: FilePrint {
                identity,
                size: wide(by_handle.nFileSizeHigh, by_handle.nFileSizeLow),
                modified: unix_nanos(basic.LastWriteTime),
                changed: unix_nanos(basic.ChangeTime),
            },
            owner: 0,
        })
    }

    /// From hundreds of nanoseconds since 1601.
    fn unix_nanos(ticks: i64) -> i64 {
        const TICKS_TO_1970: i64 = 116_444_736_000_000_000;
        ticks.saturating_sub(TICKS_TO_1970).saturating_mul(100)
    }

    pub(super) fn move_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
        let wide =
            |path: &Path| -> Vec<u16> { path.as_os_str().encode_wide().chain([0]).collect() };
        let (from, to) = (wide(from), wide(to));
        // SAFETY: both end in zero and outlive the call.
        let moved = unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), 0) };
        if moved == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}
