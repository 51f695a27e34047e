//! The VFS itself, as SQLite calls it.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi;

use super::{Entry, FileNo, IoLog, folder_of, with_log};

/// An open file as SQLite sees it. The memory right behind it belongs to the real VFS's file.
#[repr(C)]
struct CrashFile {
    base: ffi::sqlite3_file,
    /// Null for temporary files without a name.
    path: *mut PathBuf,
    /// The first sync will sync the folder too: the real VFS does so for a new journal or WAL.
    folder_due: bool,
}

struct RealVfs(*mut ffi::sqlite3_vfs);
// SAFETY: a registered VFS is never moved, changed or freed, and SQLite calls it from any thread.
unsafe impl Send for RealVfs {}
// SAFETY: as above.
unsafe impl Sync for RealVfs {}

/// The VFS that was the default; the first call registers ours in front of it.
pub(super) fn real_vfs() -> *mut ffi::sqlite3_vfs {
    static REAL: OnceLock<RealVfs> = OnceLock::new();
    REAL.get_or_init(|| {
        // SAFETY: a null name asks for the default VFS, which every build of SQLite on an
        // operating system has. What is registered is leaked, so that it lives forever, and is a
        // copy of the real one: methods that are not replaced take no notice of which they get.
        unsafe {
            let real = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!real.is_null(), "SQLite has no default VFS");
            let mut ours = *real;
            ours.zName = c"branchline-crash".as_ptr();
            ours.szOsFile += to_c_int(size_of::<CrashFile>());
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            let code = ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
            assert_eq!(code, ffi::SQLITE_OK, "register the recording VFS");
            RealVfs(real)
        }
    })
    .0
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a null or valid name and szOsFile bytes of memory for the file, which
    // hold a CrashFile and the real file behind it.
    unsafe {
        let path = path_of(name).filter(|_| flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0);
        let existed = path.as_ref().is_some_and(|path| path.exists());
        let real = real_vfs();
        (*file).pMethods = ptr::null();
        (*real_file(file)).pMethods = ptr::null();
        let Some(real_open) = (*real).xOpen else {
            return ffi::SQLITE_IOERR;
        };
        let code = real_open(real, name, real_file(file), flags, flags_out);
        if (*real_file(file)).pMethods.is_null() {
            return code;
        }
        if let Some(path) = path.as_ref().filter(|_| code == ffi::SQLITE_OK) {
            with_log(path, |log, name| {
                if existed {
                    log.adopt(name);
                } else {
                    log.file_at(name);
                }
            });
        }
        let journal = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
        file.cast::<CrashFile>().write(CrashFile {
            base: ffi::sqlite3_file {
                pMethods: &raw const METHODS,
            },
            path: path.map_or(ptr::null_mut(), |path| Box::into_raw(Box::new(path))),
            folder_due: flags & ffi::SQLITE_OPEN_CREATE != 0
                && flags & (journal | ffi::SQLITE_OPEN_WAL) != 0,
        });
        code
    }
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: SQLite passes a valid name.
    unsafe {
        let path = path_of(name).unwrap_or_default();
        let before = with_log(&path, |log, _| log.entries.len()).unwrap_or(0);
        let real = real_vfs();
        let Some(real_delete) = (*real).xDelete else {
            return ffi::SQLITE_IOERR;
        };
        let code = real_delete(real, name, sync_folder);
        if code == ffi::SQLITE_OK {
            with_log(&path, |log, name| {
                if log.named.remove(name).is_some() {
                    let covers = (sync_folder != 0).then_some(before);
                    log.entries.push(Entry::Delete {
                        name: name.to_owned(),
                        covers,
                    });
                }
            });
        }
        code
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// Calls the same method of the real file.
macro_rules! real {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let real = real_file($file);
        match (*(*real).pMethods).$method {
            Some(method) => method(real $(, $argument)*),
            None => ffi::SQLITE_IOERR,
        }
    }};
}

/// Methods that only pass on.
macro_rules! pass_on {
    ($($name:ident = $method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite passes a file that `open` made, and arguments as its contract says.
            unsafe { real!(file, $method $(, $argument)*) }
        }
    )*};
}

pass_on! {
    read = xRead(into: *mut c_void, amount: c_int, offset: i64);
    file_size = xFileSize(size: *mut i64);
    lock = xLock(level: c_int);
    unlock = xUnlock(level: c_int);
    check_reserved_lock = xCheckReservedLock(result: *mut c_int);
    sector_size = xSectorSize();
    device_characteristics = xDeviceCharacteristics();
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, into: *mut *mut c_void);
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap = xShmUnmap(delete: c_int);
    unfetch = xUnfetch(offset: i64, page: *mut c_void);
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite passes a file that `open` made and does not use it again, so that the path,
    // which came from a box, is freed once.
    unsafe {
        let path = (*file.cast::<CrashFile>()).path;
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
        real!(file, xClose)
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes a file that `open` made and `amount` readable bytes.
    unsafe {
        let code = real!(file, xWrite, from, amount, offset);
        note(file, code, |log, file| {
            let bytes = std::slice::from_raw_parts(from.cast::<u8>(), to_usize(amount.into()));
            log.entries.push(Entry::Write {
                file,
                offset: to_usize(offset),
                bytes: bytes.to_vec(),
            });
        });
        code
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite passes a file that `open` made.
    unsafe {
        let code = real!(file, xTruncate, size);
        note(file, code, |log, file| {
            log.entries.push(Entry::Truncate {
                file,
                size: to_usize(size),
            });
        });
        code
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite passes a file that `open` made, and uses one file from one thread at a time.
    unsafe {
        let mut covers = 0;
        note(file, ffi::SQLITE_OK, |log, _| covers = log.entries.len());
        let code = real!(file, xSync, flags);
        let ours = &mut *file.cast::<CrashFile>();
        let folder_due = ours.folder_due && code == ffi::SQLITE_OK;
        note(file, code, |log, file_no| {
            let folder = (*ours.path)
                .strip_prefix(&log.root)
                .map(folder_of)
                .map(Path::to_owned);
            let folder = folder.ok().filter(|_| folder_due);
            log.entries.push(Entry::Sync {
                file: file_no,
                covers,
                folder,
            });
        });
        ours.folder_due &= !folder_due;
        code
    }
}

unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    match operation {
        // These would let the real VFS map or grow the file behind our back.
        ffi::SQLITE_FCNTL_MMAP_SIZE => {
            // SAFETY: for this operation the argument is a 64-bit size, in and out.
            unsafe { argument.cast::<i64>().write(0) };
            ffi::SQLITE_OK
        }
        ffi::SQLITE_FCNTL_SIZE_HINT | ffi::SQLITE_FCNTL_CHUNK_SIZE => ffi::SQLITE_OK,
        // SAFETY: SQLite passes a file that `open` made, and an argument as its contract says.
        _ => unsafe { real!(file, xFileControl, operation, argument) },
    }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite passes a file that `open` made.
    unsafe {
        let real = real_file(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

/// Refuses to map the file, so that every page is read and written through us.
unsafe extern "C" fn fetch(
    _: *mut ffi::sqlite3_file,
    _: i64,
    _: c_int,
    page: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes a place for the answer.
    unsafe { page.write(ptr::null_mut()) };
    ffi::SQLITE_OK
}

/// # Safety
/// `file` must have been made by [`open`].
unsafe fn note(file: *mut ffi::sqlite3_file, code: c_int, add: impl FnOnce(&mut IoLog, FileNo)) {
    // SAFETY: the path is null or came from a box that lives as long as the file is open.
    let path = unsafe { (*file.cast::<CrashFile>()).path.as_ref() };
    if let Some(path) = path.filter(|_| code == ffi::SQLITE_OK) {
        with_log(path, |log, name| {
            let file = log.file_at(name);
            add(log, file);
        });
    }
}

/// # Safety
/// `file` must point at the memory that SQLite set aside for a file of our VFS.
unsafe fn real_file(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: szOsFile covers both, and CrashFile's size is a multiple of its alignment.
    unsafe { file.cast::<CrashFile>().add(1).cast() }
}

/// # Safety
/// `name` must be null or a valid C string.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: as the caller promises.
    let name = unsafe { (!name.is_null()).then(|| CStr::from_ptr(name)) };
    name.map(|name| PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

fn to_usize(number: i64) -> usize {
    usize::try_from(number).unwrap_or_else(|_| unreachable!("SQLite passed a negative size"))
}

fn to_c_int(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or_else(|_| unreachable!("a struct's size is small"))
}
