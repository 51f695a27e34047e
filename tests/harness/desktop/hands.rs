//! What a person does with the system around the window, and no driver of web pages can: answer its pickers,
//! drag files, copy a picture. Installed for it when missing: xdotool, xclip, python3-gi, gir1.2-gtk-3.0.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use super::{Group, Screen, first_line};
use crate::debian::program;
use crate::waiting::wait_for;

/// A window that offers files to be dragged, and where it is.
const SOURCE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/harness/desktop/drag_source.py"
);
const SOURCE_AT: (u32, u32) = (1140, 200);
/// How long a picker may take to go once it was answered.
const GOES_WITHIN: Duration = Duration::from_secs(3);

impl Screen {
    /// Types a path into the system's own picker of this title and presses Enter; without a path, leaves it by
    /// Escape.
    pub fn answer_picker(&self, title: &str, path: Option<&Path>) {
        let title = format!("^{title}$");
        let search = ["search", "--onlyvisible", "--name", &title];
        let there = || self.hands(&search).status.success();
        wait_for("the picker", || there().then_some(()));
        wait_for("the picker to take the answer", || {
            self.hands(&[&search[..], &["windowfocus", "--sync"]].concat());
            match path {
                // All of it anew, where the first keys came before the picker listened.
                Some(path) => {
                    let path = path.to_str().expect("a path of UTF-8");
                    self.hands(&["key", "ctrl+a"]);
                    self.hands(&["type", "--delay", "20", path]);
                    self.hands(&["key", "Return"]);
                }
                None => drop(self.hands(&["key", "Escape"])),
            }
            let answered = Instant::now();
            while there() {
                if answered.elapsed() > GOES_WITHIN {
                    return None;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Some(())
        });
    }

    /// Drags files from another window and holds them over this place, until they are let go.
    pub fn drag_over(&self, files: &[&Path], to: (u32, u32)) -> Dragged<'_> {
        let python = program(&["/usr/bin/python3"], "python3");
        program(&["/usr/lib/python3/dist-packages/gi"], "python3-gi");
        let typelib = |arch| format!("/usr/lib/{arch}-linux-gnu/girepository-1.0/Gtk-3.0.typelib");
        let typelibs = [typelib("x86_64"), typelib("aarch64")];
        program(&typelibs.each_ref().map(String::as_str), "gir1.2-gtk-3.0");
        let mut command = self.command(&python);
        command.arg(SOURCE).args(files);
        let (source, ready) = first_line(&mut command);
        assert_eq!(ready, "ready", "{SOURCE}");
        self.move_to(SOURCE_AT);
        self.hands(&["mousedown", "1"]);
        // In steps: the first ones begin the drag, the last one shows that it stays.
        for part in 1..=10 {
            let along = |from: u32, to: u32| (from * (10 - part) + to * part) / 10;
            self.move_to((along(SOURCE_AT.0, to.0), along(SOURCE_AT.1, to.1)));
        }
        self.move_to((to.0 + 3, to.1 + 3));
        Dragged {
            screen: self,
            _source: source,
        }
    }

    /// Presses a key with the mouse over this place, after a click there.
    pub fn press_at(&self, place: (u32, u32), key: &str) {
        self.move_to(place);
        self.hands(&["click", "1"]);
        self.hands(&["key", key]);
    }

    /// Copies a picture, as a program for screenshots does; it is on the clipboard until the answer is dropped.
    pub fn copy_picture(&self, png: &Path) -> Group {
        let xclip = program(&["/usr/bin/xclip"], "xclip");
        let mut command = self.command(&xclip);
        command
            .args(["-selection", "clipboard", "-target", "image/png"])
            .arg("-quiet")
            .arg(png)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let copied = Group::start(&mut command);
        wait_for("the picture on the clipboard", || {
            let mut ask = self.command(&xclip);
            ask.args(["-selection", "clipboard", "-target", "TARGETS", "-out"]);
            let offered = ask.output().expect("run xclip").stdout;
            String::from_utf8_lossy(&offered)
                .contains("image/png")
                .then_some(())
        });
        copied
    }

    fn move_to(&self, place: (u32, u32)) {
        let place = [place.0.to_string(), place.1.to_string()];
        self.hands(&["mousemove", "--sync", &place[0], &place[1]]);
    }

    fn hands(&self, words: &[&str]) -> Output {
        let xdotool = program(&["/usr/bin/xdotool"], "xdotool");
        let mut command = self.command(&xdotool);
        command.args(words).output().expect("run xdotool")
    }
}

/// Files held by the mouse. The window that they come from is there until this is dropped.
#[derive(Debug)]
pub struct Dragged<'a> {
    screen: &'a Screen,
    _source: Group,
}

impl Dragged<'_> {
    /// Lets go of them.
    pub fn let_go(&self) {
        self.screen.hands(&["mouseup", "1"]);
    }
}
