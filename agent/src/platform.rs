//! What differs between operating systems: the same functions on each.

#[cfg(unix)]
#[path = "platform/linux/dropped.rs"]
mod dropped;
#[cfg(windows)]
#[path = "platform/windows/dropped.rs"]
mod dropped;
#[cfg(windows)]
#[path = "platform/windows/event_log.rs"]
pub mod event_log;
#[cfg(windows)]
#[path = "platform/windows/pipe.rs"]
mod pipe;
#[cfg(unix)]
#[path = "platform/linux/policy.rs"]
mod policy;
#[cfg(windows)]
#[path = "platform/windows/policy.rs"]
mod policy;
#[cfg(unix)]
#[path = "platform/linux/private.rs"]
mod private;
#[cfg(windows)]
#[path = "platform/windows/private.rs"]
mod private;
#[cfg(unix)]
#[path = "platform/linux/service.rs"]
pub mod service;
#[cfg(windows)]
#[path = "platform/windows/service.rs"]
pub mod service;
#[cfg(unix)]
#[path = "platform/linux.rs"]
mod system;
#[cfg(windows)]
#[path = "platform/windows.rs"]
mod system;

pub use dropped::{
    facts_of, is_remote, look, look_at_folder, move_without_replacing, name_bytes, name_of,
    open_dropped, open_for_writing, owner_of,
};
pub use policy::{POLICY, policy};
pub use private::{is_exposed, look_like, make_private, open_private, seal, sync_folder, unseal};
pub use system::{
    Caller, LocalListener, default_config, default_data_dir, disk_free, restrict_to_owner,
};

/// What tells one state of a file from another: a file with the same print holds what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePrint {
    /// Which file it is, whatever it is called: device and number.
    pub identity: [u8; 16],
    /// Bytes.
    pub size: u64,
    /// When it was written last, in nanoseconds since 1970, as anybody may set it.
    pub modified: i64,
    /// When anything about it changed last, in nanoseconds since 1970, by the system's own record.
    pub changed: i64,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file with content.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, or what else leads elsewhere.
    Link,
    /// A pipe, socket or device.
    Device,
    /// Something that this version does not know.
    Other,
}

/// What a file is, as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// What it is.
    pub kind: FileKind,
    /// Its present state.
    pub print: FilePrint,
    /// The system's number for its owner, where it has one.
    pub owner: u32,
}
