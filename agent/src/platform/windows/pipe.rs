//! The local API's pipe and who may open it. A pipe without a list of its own could be read by everybody
//! and written by its maker alone.

use std::io;
use std::path::Path;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

/// Whoever is logged on to this computer may file; who comes over the network may not. The service, the
/// system and administrators may do everything. In Windows' security descriptor definition language.
const ACCESS: &str = "D:(D;;FA;;;NU)(A;;FA;;;OW)(A;;FA;;;SY)(A;;FA;;;BA)(A;;GRGW;;;IU)";

/// An instance of the pipe, which waits for one client. `first` fails where the pipe is there already.
pub(super) fn instance(name: &Path, first: bool) -> io::Result<NamedPipeServer> {
    let mut options = ServerOptions::new();
    options
        .first_pipe_instance(first)
        .reject_remote_clients(true);
    access::create(&options, name, ACCESS)
}

#[expect(
    unsafe_code,
    reason = "the Windows API is called directly; each call states why it is sound"
)]
mod access {
    use std::io;
    use std::path::Path;

    use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
    use windows_sys::Win32::Foundation::LocalFree;
    use windows_sys::Win32::Security::Authorization::{
        ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
    };
    use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;

    pub(super) fn create(
        options: &ServerOptions,
        name: &Path,
        access: &str,
    ) -> io::Result<NamedPipeServer> {
        let text: Vec<u16> = access.encode_utf16().chain([0]).collect();
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: `text` ends in zero and outlives the call; `descriptor` is where the answer goes; its
        // size is not asked for.
        let understood = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                std::ptr::null_mut(),
            )
        };
        if understood == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut attributes = SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default(),
            lpSecurityDescriptor: descriptor,
            bInheritHandle: 0,
        };
        // SAFETY: `attributes` and the descriptor that it names are whole and outlive the call.
        let made = unsafe {
            options.create_with_security_attributes_raw(name, (&raw mut attributes).cast())
        };
        // SAFETY: the descriptor came from the system and is not used afterwards.
        unsafe { LocalFree(descriptor) };
        made
    }
}
