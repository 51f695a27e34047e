//! The real desktop client on a screen of its own: Xvfb, a D-Bus session, tauri-driver and WebKit's driver
//! behind it, all ended with the test. What is installed for it when it is missing: xvfb, dbus,
//! webkit2gtk-driver and, from crates.io, tauri-driver.

mod hands;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::debian::{cargo_program, program};
use crate::processes::free_address;
use crate::programs::binary;
use crate::webdriver::Session;

/// A process with all that it started; they end when this is dropped.
#[derive(Debug)]
pub struct Group(Child);

impl Group {
    /// Starts a program as the first of a group.
    pub fn start(command: &mut Command) -> Self {
        Self(command.process_group(0).spawn().expect("start a program"))
    }

    /// The first process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(group) = libc::pid_t::try_from(self.0.id()) {
            // SAFETY: the child has not been waited for, so its group is its own.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        let _ = self.0.wait();
    }
}

/// The version that the tests were written with.
const TAURI_DRIVER: &str = "2.0.6";
/// Width and height in pixels.
const SCREEN: (usize, usize) = (1280, 900);

/// A screen and a session, as somebody has who has logged on.
#[derive(Debug)]
pub struct Screen {
    folder: PathBuf,
    display: String,
    bus: String,
    _xvfb: Group,
    _bus: Group,
    _monitor: Group,
}

impl Screen {
    /// Logs on.
    pub fn start(sandbox: &Path) -> Self {
        let folder = sandbox.join("home");
        std::fs::create_dir_all(&folder).expect("make a home");
        let mut xvfb = Command::new(program(&["/usr/bin/Xvfb"], "xvfb"));
        xvfb.arg("-fbdir").arg(&folder).args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &format!("{}x{}x24", SCREEN.0, SCREEN.1),
            "-nolisten",
            "tcp",
        ]);
        let (xvfb, number) = first_line(&mut xvfb);
        let mut bus = Command::new(program(&["/usr/bin/dbus-daemon"], "dbus"));
        bus.args(["--session", "--nofork", "--print-address"]);
        let (bus_process, bus) = first_line(&mut bus);
        let mut monitor = Command::new(program(&["/usr/bin/dbus-monitor"], "dbus-bin"));
        let heard = std::fs::File::create(folder.join("notifications")).expect("a file");
        monitor
            .args([
                "--address",
                &bus,
                "interface='org.freedesktop.Notifications'",
            ])
            .stdout(heard)
            .stderr(Stdio::null());
        Self {
            folder,
            display: format!(":{number}"),
            bus,
            _monitor: Group::start(&mut monitor),
            _xvfb: xvfb,
            _bus: bus_process,
        }
    }

    /// What the screen shows, as the bytes of its pixels (four each).
    pub fn pixels(&self) -> Vec<u8> {
        let mut file = std::fs::read(self.folder.join("Xvfb_screen0")).expect("read the screen");
        let pixels = 4 * SCREEN.0 * SCREEN.1;
        file.split_off(file.len().saturating_sub(pixels))
    }

    /// What was announced by the system's notifications so far.
    pub fn notifications(&self) -> String {
        std::fs::read_to_string(self.folder.join("notifications")).unwrap_or_default()
    }

    /// The client's own folder of this person.
    pub fn data(&self) -> PathBuf {
        self.folder.join("branchline-desktop")
    }

    /// A command of this person, on this screen.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env("HOME", &self.folder)
            .env("XDG_DATA_HOME", self.folder.join("data"))
            .env("XDG_CACHE_HOME", self.folder.join("cache"))
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("XDG_RUNTIME_DIR", &self.folder)
            .env("LANG", "en_GB.UTF-8")
            .env("LC_ALL", "en_GB.UTF-8")
            .env("GDK_BACKEND", "x11")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("WEBKIT_DISABLE_DMABUF_RENDERER", "1")
            .env("NO_AT_BRIDGE", "1")
            .env("BRANCHLINE_DESKTOP_DATA", self.data())
            .stdin(Stdio::null());
        command
    }

    /// Gives files to the client, as "send to" does; the one that runs takes them.
    pub fn send_to(&self, socket: &Path, files: &[&Path]) {
        let mut command = self.command(&binary("branchline-desktop"));
        command.env("BRANCHLINE_SOCKET", socket).args(files);
        let said = command.output().expect("run branchline-desktop");
        assert!(said.status.success(), "{said:?}");
    }

    /// Starts the client on this agent's socket.
    pub async fn open(&self, socket: &Path) -> Window {
        let native = program(&["/usr/bin/WebKitWebDriver"], "webkit2gtk-driver");
        let (address, behind) = (free_address(), free_address());
        let log = std::fs::File::create(self.folder.join("client.log")).expect("a file");
        let mut command = self.command(&cargo_program("tauri-driver", TAURI_DRIVER));
        command
            .arg("--native-driver")
            .arg(native)
            .args(["--port".to_owned(), address.port().to_string()])
            .args(["--native-port".to_owned(), behind.port().to_string()])
            .env("BRANCHLINE_SOCKET", socket)
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log);
        let group = Group::start(&mut command);
        for address in [address, behind] {
            listening(address).await;
        }
        Window {
            session: Session::begin(address, &binary("branchline-desktop")).await,
            _group: group,
        }
    }
}

async fn listening(address: SocketAddr) {
    crate::waiting::wait_until("the window's drivers to listen", || async {
        tokio::net::TcpStream::connect(address).await.ok()
    })
    .await;
}

/// The client's window. Dropping it is SIGKILL for the client and all of its processes.
#[derive(Debug)]
pub struct Window {
    /// To drive it.
    pub session: Session,
    _group: Group,
}

fn first_line(command: &mut Command) -> (Group, String) {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .stdin(Stdio::null());
    let mut group = Group::start(command);
    let stdout = group.0.stdout.take().expect("stdout is piped");
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("a first line");
    (group, line.trim().to_owned())
}
