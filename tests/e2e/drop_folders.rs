//! Drop folders on the real agent: a file is filed when it is complete, once, and never lost; the
//! source is left alone.

mod filed;
mod once;
mod sent;
mod settled;
mod trouble;

use std::path::{Path, PathBuf};

use harness::processes::{Branch, Central, sandbox};
use tempfile::TempDir;

/// A branch with one drop folder, and a central that does not run unless a test starts it.
struct Scene {
    sandbox: TempDir,
    central: Central,
    branch: Branch,
    folder: PathBuf,
}

impl Scene {
    /// `rule` is further TOML of the rule.
    fn new(rule: &str) -> Self {
        let sandbox = sandbox();
        let central = Central::init(sandbox.path());
        let branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        let folder = sandbox.path().join("in");
        std::fs::create_dir(&folder).unwrap();
        let scene = Self {
            sandbox,
            central,
            branch,
            folder,
        };
        scene.configure("", rule);
        scene
    }

    /// `settings` is TOML before the rule's.
    fn configure(&self, settings: &str, rule: &str) {
        let rule = format!(
            "{settings}\n[[drop_folder]]\npath = {:?}\n{rule}\n",
            self.folder
        );
        self.branch.configure(self.central.address, &rule);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// A place on the same disk, to move files from.
    fn beside(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.sandbox.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Moves a file into place, which has it taken at once.
    fn move_in(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::rename(self.beside("moving", content), self.path(name)).unwrap();
    }

    fn wait_filed(&self, name: &str) -> filed::File {
        filed::wait(self.branch.journal(), name)
    }

    /// Files a file of this name and waits for it: whatever lay there before has been looked at then.
    fn look_past(&self, name: &str) {
        self.write(name, name);
        self.wait_filed(name);
    }

    fn filed(&self) -> Vec<filed::File> {
        filed::files(&self.branch.journal())
    }

    fn names_filed(&self) -> Vec<String> {
        self.filed().into_iter().map(|file| file.name).collect()
    }
}

fn root_of(content: impl AsRef<[u8]>) -> [u8; 32] {
    *blake3::hash(content.as_ref()).as_bytes()
}

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(bytes).collect()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
