//! Windows: files that only the service may read. The data folder's access list, set by the installer,
//! keeps other users out; keys are encrypted by DPAPI for this machine besides, so that a copy of the
//! disk is of no use elsewhere.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// A new, empty file. What a crash left under the name is replaced.
pub fn make_private(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// An empty file to lock, made where it is missing.
pub fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// The folder's access list holds for the file that takes another's place.
pub fn look_like(_file: &File, _former: &Metadata) -> io::Result<()> {
    Ok(())
}

/// NTFS journals its names; a folder cannot be synced.
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The access list is the folder's.
pub fn is_exposed(_path: &Path) -> bool {
    false
}

/// Encrypts a secret for this machine.
pub fn seal(secret: &[u8]) -> io::Result<Option<Vec<u8>>> {
    dpapi::protect(secret).map(Some)
}

/// What [`seal`] encrypted.
pub fn unseal(sealed: &[u8]) -> io::Result<Vec<u8>> {
    dpapi::unprotect(sealed)
}

#[expect(
    unsafe_code,
    reason = "the Windows API is called directly; each call states why it is sound"
)]
mod dpapi {
    use std::io;

    use windows_sys::Win32::Foundation::LocalFree;
    use windows_sys::Win32::Security::Cryptography::{
        CRYPT_INTEGER_BLOB, CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN,
        CryptProtectData, CryptUnprotectData,
    };

    /// For the machine and not for one account: the service's account may change, and the file's access
    /// list says who may read it.
    const FLAGS: u32 = CRYPTPROTECT_LOCAL_MACHINE | CRYPTPROTECT_UI_FORBIDDEN;

    pub(super) fn protect(secret: &[u8]) -> io::Result<Vec<u8>> {
        let given = blob(secret)?;
        let mut sealed = empty();
        // SAFETY: `given` points to `secret`, which outlives the call and is only read; `sealed` is
        // where the answer goes.
        let done = unsafe {
            CryptProtectData(
                &given,
                std::ptr::null(),
                std::ptr::null(),
                std::ptr::null(),
                std::ptr::null(),
                FLAGS,
                &mut sealed,
            )
        };
        taken(done, &sealed)
    }

    pub(super) fn unprotect(sealed: &[u8]) -> io::Result<Vec<u8>> {
        let given = blob(sealed)?;
        let mut secret = empty();
        // SAFETY: as in `protect`; no description is asked for.
        let done = unsafe {
            CryptUnprotectData(
                &given,
                std::ptr::null_mut(),
                std::ptr::null(),
                std::ptr::null(),
                std::ptr::null(),
                FLAGS,
                &mut secret,
            )
        };
        taken(done, &secret)
    }

    fn blob(bytes: &[u8]) -> io::Result<CRYPT_INTEGER_BLOB> {
        Ok(CRYPT_INTEGER_BLOB {
            cbData: u32::try_from(bytes.len()).map_err(io::Error::other)?,
            pbData: bytes.as_ptr().cast_mut(),
        })
    }

    fn empty() -> CRYPT_INTEGER_BLOB {
        CRYPT_INTEGER_BLOB {
            cbData: 0,
            pbData: std::ptr::null_mut(),
        }
    }

    /// Copies what the system allocated, clears it and gives it back.
    fn taken(done: i32, answer: &CRYPT_INTEGER_BLOB) -> io::Result<Vec<u8>> {
        if done == 0 || answer.pbData.is_null() {
            return Err(io::Error::last_os_error());
        }
        let length = answer.cbData as usize;
        // SAFETY: the call succeeded, so `pbData` holds `cbData` bytes that nobody else uses.
        let bytes = unsafe {
            let held = std::slice::from_raw_parts_mut(answer.pbData, length);
            let bytes = held.to_vec();
            held.fill(0);
            bytes
        };
        // SAFETY: the memory came from the system and is not used afterwards.
        unsafe { LocalFree(answer.pbData.cast()) };
        Ok(bytes)
    }
}
