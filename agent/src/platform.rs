//! What differs between operating systems: the same functions on each.

#[cfg(unix)]
#[path = "platform/linux.rs"]
mod system;
#[cfg(windows)]
#[path = "platform/windows.rs"]
mod system;

pub use system::{Caller, LocalListener, default_config, disk_free, restrict_to_owner};
