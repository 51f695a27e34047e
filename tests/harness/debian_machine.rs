//! A Debian machine in namespaces of its own, with a real systemd as its first process: what packages
//! are installed on. Its disk is an overlay over a system that debootstrap made once and that no test
//! changes; its network is a loopback alone.
//!
//! Needs root, or sudo without a question, as installing packages does.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::debian::{as_root, program};
use crate::processes::{sandbox, text};
use crate::waiting::wait_for;

/// What the machine has besides Debian's smallest set.
const PACKAGES: &str = "systemd,systemd-sysv,debconf,adduser";
/// Debian 12.
const STABLE: Release = Release {
    suite: "bookworm",
    folder: "debian-12",
};
/// Debian 13.
const NEWER: Release = Release {
    suite: "trixie",
    folder: "debian-13",
};
/// Where a mirror is, unless the machine's own lists name one.
const MIRROR: &str = "http://deb.debian.org/debian";

struct Release {
    suite: &'static str,
    /// In the cache.
    folder: &'static str,
}

/// The machine; it ends when this is dropped.
pub struct DebianMachine {
    outer: Child,
    /// The first process inside, by its number here.
    first: u32,
    name: String,
    _folder: TempDir,
}

/// Makes the namespaces' file systems and becomes systemd. `$1` is the machine's folder, `$2` the system.
const BOOT: &str = r#"
set -e
ip link set lo up
mount --make-rprivate /
R=$1/root
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$R"
mount -t proc proc "$R/proc"
mount -t tmpfs tmpfs "$R/run"
mount -t tmpfs tmpfs "$R/tmp"
mount -t sysfs -o ro sys "$R/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
else
  mount -t tmpfs tmpfs "$R/sys/fs/cgroup"
  mkdir "$R/sys/fs/cgroup/systemd" "$R/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd,xattr cgroup "$R/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup/unified"
fi
mount --rbind /dev "$R/dev"
cd "$R"
pivot_root . mnt
umount -l /mnt
exec env -i container=branchline PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --log-level=warning --log-target=console --show-status=false
"#;

/// Puts itself into a control group of its own, so that the machine's first process sees that as the root
/// of all, and makes the namespaces. `$3` is the group's name.
const ENTER: &str = r#"
set -e
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  [ -e "$hierarchy/cgroup.procs" ] || continue
  mkdir -p "$hierarchy/$3"
  echo $$ > "$hierarchy/$3/cgroup.procs"
done
exec setpriv --pdeathsig KILL unshare --cgroup --mount --pid --fork --uts --ipc --net --kill-child sh -c "$4" boot "$1" "$2"
"#;

impl DebianMachine {
    /// Starts one of Debian 12 and waits until systemd says that it runs.
    pub fn start() -> Self {
        Self::start_over(&base(&STABLE).unwrap_or_else(|fault| panic!("{fault}")))
    }

    /// Starts one of Debian 13; none where its packages cannot be fetched from here, which is said.
    pub fn start_newer() -> Option<Self> {
        match base(&NEWER) {
            Ok(base) => Some(Self::start_over(&base)),
            Err(fault) => {
                let _ = writeln!(std::io::stderr(), "not tried on Debian 13: {fault}");
                None
            }
        }
    }

    /// Starts one on which apt finds these packages, with all that they need, without a network: they were
    /// fetched once, and are not installed.
    pub fn start_with_archive_of(packages: &[&str]) -> Self {
        Self::start_over(&base_with_archive_of(packages))
    }

    fn start_over(base: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        program(&["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"], "iproute2");
        let folder = sandbox();
        for part in ["upper", "work", "root"] {
            std::fs::create_dir(folder.path().join(part)).expect("make the machine's folder");
        }
        let name = format!(
            "branchline-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let log = std::fs::File::create(folder.path().join("log")).expect("make the log");
        let mut enter = as_root("sh");
        enter
            .args(["-c", ENTER, "enter"])
            .args([folder.path(), base])
            .args([&name, BOOT])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log)
            .process_group(0);
        let mut outer = enter.spawn().expect("start the machine");
        let first = wait_for("the machine's first process", || {
            if let Ok(Some(status)) = outer.try_wait() {
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                panic!("the machine ended with {status}: {log}");
            }
            first_below(outer.id())
        });
        let machine = Self {
            outer,
            first,
            name,
            _folder: folder,
        };
        wait_for("systemd", || {
            let state = machine.run(&["systemctl", "is-system-running"]);
            (text(&state.stdout).trim() == "running").then_some(())
        });
        // What an installer of Debian writes and debootstrap does not.
        machine.shell("echo 127.0.0.1 localhost > /etc/hosts");
        machine
    }

    /// A command inside, as root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = as_root("nsenter");
        command
            .args(["-t", &self.first.to_string()])
            .args(["-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w"])
            .args([
                "env",
                "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root",
            ])
            .args(["LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"])
            .args(words);
        command
    }

    /// Runs it.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("enter the machine")
    }

    /// Runs it with this on its standard input.
    pub fn run_with_input(&self, words: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(words);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("enter the machine");
        let mut stdin = child.stdin.take().expect("standard input");
        stdin.write_all(input).expect("give the input");
        drop(stdin);
        child.wait_with_output().expect("await the command")
    }

    /// Runs a line of shell, which must succeed, and gives what it said on both outputs.
    pub fn shell(&self, line: &str) -> String {
        let output = self.run(&["sh", "-c", &format!("exec 2>&1\n{line}")]);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{line}: {}: {said}", output.status);
        said
    }

    /// Puts a file in.
    pub fn copy_in(&self, from: &Path, to: &str) {
        let bytes = std::fs::read(from).expect("read the file");
        let written = self.run_with_input(&["sh", "-c", "cat > \"$0\"", to], &bytes);
        assert!(written.status.success(), "{}", text(&written.stderr));
    }

    /// Whether this stands anywhere on the machine's disk as it is seen inside, or in its journal.
    pub fn holds(&self, secret: &str) -> Vec<String> {
        let places = "/etc /var /run /root /home /tmp /usr/share /opt /srv";
        let found = self.run_with_input(
            &["sh", "-c", &format!("read -r secret; grep -rlsF -e \"$secret\" {places}; journalctl --no-pager -o cat | grep -cF -e \"$secret\" | sed 's/^0$//;s/^/in the journal: /'; true")],
            format!("{secret}\n").as_bytes(),
        );
        let lines = text(&found.stdout);
        let lines = lines
            .lines()
            .filter(|line| line.trim() != "in the journal:");
        lines.map(str::to_owned).collect()
    }
}

impl Drop for DebianMachine {
    fn drop(&mut self) {
        let _ = as_root("kill")
            .args(["-9", &self.first.to_string()])
            .status();
        let _ = self.outer.wait();
        for hierarchy in ["", "systemd", "unified"] {
            let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(&self.name);
            let _ = as_root("find")
                .arg(group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// The first process in the new namespace: what `unshare` forked, once it has become systemd.
fn first_below(outer: u32) -> Option<u32> {
    let children = |pid: u32| {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let listed = std::fs::read_to_string(path).unwrap_or_default();
        listed
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect::<Vec<u32>>()
    };
    let mut below = children(outer);
    while let Some(pid) = below.pop() {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "systemd" {
            return Some(pid);
        }
        below.extend(children(pid));
    }
    None
}

/// The system under the overlay, made once a machine; why not, where it cannot be made.
fn base(release: &Release) -> Result<PathBuf, String> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folder = cache
        .expect("HOME is set")
        .join("branchline")
        .join(release.folder);
    let system = folder.join("system");
    if folder.join("made").exists() {
        return Ok(system);
    }
    let debootstrap = program(&["/usr/sbin/debootstrap"], "debootstrap");
    let _ = writeln!(
        std::io::stderr(),
        "making a Debian system ({}) in {}, for tests of packages (a minute)",
        release.suite,
        folder.display()
    );
    let _ = as_root("rm").arg("-rf").arg(&folder).status();
    std::fs::create_dir_all(&folder).expect("make the cache's folder");
    let made = as_root(&debootstrap.to_string_lossy())
        .args(["--variant=minbase", &format!("--include={PACKAGES}")])
        .arg(release.suite)
        .arg(&system)
        .arg(mirror())
        .output()
        .expect("run debootstrap");
    if !made.status.success() {
        let said = text(&made.stdout) + &text(&made.stderr);
        return Err(format!("debootstrap: {said}"));
    }
    // It shares this machine's kernel, and cannot load what that lacks.
    let masked = as_root("ln")
        .args(["-sf", "/dev/null"])
        .arg(system.join("etc/systemd/system/systemd-modules-load.service"))
        .status();
    assert!(masked.expect("run ln").success());
    std::fs::write(folder.join("made"), "").expect("mark it as made");
    Ok(system)
}

/// A copy of Debian 12's smallest system in this folder, whose apt knows of no mirror.
pub fn system_without_mirror(folder: &Path) -> PathBuf {
    let from = base(&STABLE).unwrap_or_else(|fault| panic!("{fault}"));
    let system = folder.join("system");
    let copied = as_root("cp")
        .args(["-a", "--reflink=auto"])
        .args([&from, &system])
        .status();
    assert!(copied.expect("run cp").success());
    let emptied = as_root("truncate")
        .args(["-s", "0"])
        .arg(system.join("etc/apt/sources.list"))
        .status();
    assert!(emptied.expect("run truncate").success());
    system
}

/// The same system with packages in apt's archive, made once for each set of them.
fn base_with_archive_of(packages: &[&str]) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let plain = base(&STABLE).unwrap_or_else(|fault| panic!("{fault}"));
    let _turn = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("debian-12-{}", packages.join("-"));
    let folder = plain.parent().expect("a folder").with_file_name(name);
    let system = folder.join("system");
    if folder.join("made").exists() {
        return system;
    }
    let _ = writeln!(
        std::io::stderr(),
        "fetching {} for tests of packages into {}",
        packages.join(", "),
        folder.display()
    );
    let done = |command: &mut Command| {
        let output = command.output().expect("run a command");
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
    };
    done(as_root("rm").arg("-rf").arg(&folder));
    std::fs::create_dir_all(&folder).expect("make the cache's folder");
    done(
        as_root("cp")
            .args(["-a", "--reflink=auto"])
            .args([&plain, &system]),
    );
    done(
        as_root("cp")
            .arg("/etc/resolv.conf")
            .arg(system.join("etc")),
    );
    // What the system once was made of may have been replaced at the mirror.
    for words in [
        vec!["update"],
        [&["install", "--download-only"], packages].concat(),
    ] {
        done(
            as_root("chroot")
                .arg(&system)
                .args(["apt-get", "-q", "-y", "--no-install-recommends"])
                .args(words),
        );
    }
    std::fs::write(folder.join("made"), "").expect("mark it as made");
    system
}

/// The mirror that this machine installs from.
fn mirror() -> String {
    let lists = [
        "/etc/apt/sources.list",
        "/etc/apt/sources.list.d/debian.sources",
    ];
    let lists = lists
        .iter()
        .filter_map(|list| std::fs::read_to_string(list).ok());
    let all: String = lists.collect::<Vec<_>>().join("\n");
    let mut words = all
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace);
    let found =
        words.find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"));
    found.unwrap_or(MIRROR).to_owned()
}
