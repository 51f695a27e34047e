//! Disks of a test's own: small ones in memory that run full, and ones that lose what was not synced, as
//! a machine does that loses power. They take root; where that is not given, a test says so and ends.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::processes::text;

/// One MiB, as disks are given here.
pub const MIB: u64 = 1024 * 1024;

/// Runs a test in a thread with mounts of its own, which end with it and its processes; says so where
/// that is not allowed.
pub fn with_own_mounts<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    // SAFETY: changes what this thread and its children see mounted, and nothing else.
    let unshare = || unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if !unshare() || !runs("mount", &["--make-rprivate", "/"]) {
                println!("skipped: disks can be mounted by root only");
                return;
            }
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(test());
        });
    });
}

/// A disk of so many MiB in memory in place of a folder.
pub fn small_disk(folder: &Path, mib: u64) {
    std::fs::create_dir_all(folder).expect("make the folder");
    let options = format!("size={mib}m,mode=0700");
    let args = ["-t", "tmpfs", "-o", &options, "tmpfs", plain(folder)];
    assert!(runs("mount", &args), "mount a small disk");
}

/// Fills a disk with somebody else's bytes until so many MiB are free; they go with
/// [`std::fs::remove_file`].
pub fn fill(folder: &Path, leave_mib: u64) -> PathBuf {
    let path = folder.join("somebody-elses");
    File::create(&path).expect("make a file");
    let bytes = free_bytes(folder).saturating_sub(leave_mib * MIB);
    assert!(runs("fallocate", &["-l", &bytes.to_string(), plain(&path)]));
    path
}

fn free_bytes(folder: &Path) -> u64 {
    let output = Command::new("df")
        .args(["--output=avail", "-B1", plain(folder)])
        .output()
        .expect("run df");
    let said = text(&output.stdout);
    let line = said.lines().nth(1).expect("a line");
    line.trim().parse().expect("a number")
}

/// A file system in a file, whose power can be cut: what was not synced by then is gone, as far as the
/// file system does not write it by itself.
#[derive(Debug)]
pub struct PoweredDisk {
    folder: PathBuf,
    image: PathBuf,
}

impl PoweredDisk {
    /// A disk in place of a folder, in an image beside it; `None` where there is no such thing to be had.
    /// Within [`with_own_mounts`].
    pub fn mount(folder: &Path, mib: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("make the folder");
        let image = folder.with_extension("image");
        let file = File::create(&image).expect("make the image");
        file.set_len(mib * MIB).expect("size the image");
        let disk = Self {
            folder: folder.to_owned(),
            image,
        };
        let made = runs("mkfs.ext4", &["-q", "-F", plain(&disk.image)]);
        if made && disk.attach() {
            Some(disk)
        } else {
            println!("skipped: there are no ext4 file systems in files here");
            None
        }
    }

    fn attach(&self) -> bool {
        let args = ["-o", "loop", plain(&self.image), plain(&self.folder)];
        runs("mount", &args)
    }

    /// Cuts the power: nothing reaches the disk any more, and what was not synced is lost. Who still
    /// runs on it meets errors, until it is killed.
    pub fn cut(&self) {
        const SHUTDOWN: libc::c_ulong = 0x8004_587d; // EXT4_IOC_SHUTDOWN
        const WITHOUT_ITS_LOG: u32 = 2;
        let folder = File::open(&self.folder).expect("open the disk");
        // SAFETY: the file is open, and the call reads one number.
        let cut = unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN, &WITHOUT_ITS_LOG) };
        assert_eq!(cut, 0, "cut: {}", std::io::Error::last_os_error());
    }

    /// Gives power again, when nobody runs on it any more: what is there is what was synced.
    pub fn restore(&self) {
        assert!(runs("umount", &[plain(&self.folder)]), "let the disk go");
        assert!(self.attach(), "mount the disk again");
    }
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn runs(program: &str, args: &[&str]) -> bool {
    let status = Command::new(program).args(args).status();
    status.is_ok_and(|status| status.success())
}
