//! P3 and P1 for files when a machine loses power: what was acknowledged had reached the disk.
//!
//! The disks are file systems in files whose power is cut while the process runs on them; they take root.

use std::path::PathBuf;

use branchline_agent_api::Upload;
use harness::disks::{MIB, PoweredDisk, with_own_mounts};
use harness::processes::{Branch, Central, sandbox, wait_for, wait_until};
use harness::samples::incompressible;
use tempfile::TempDir;

use super::p04_kills::assert_quarantined;

const DISK_MIB: u64 = 256;
const FILE_BYTES: u64 = 6 * MIB;

struct Scene {
    sandbox: TempDir,
    central: Central,
    branch: Branch,
    disk: PoweredDisk,
    file: PathBuf,
}

impl Scene {
    /// A branch with a ticket and a file to attach; the disk is the branch's, or central's.
    fn new(at_the_branch: bool) -> Option<Self> {
        let sandbox = sandbox();
        let folder = sandbox.path().join("central");
        let at_central = (!at_the_branch).then(|| PoweredDisk::mount(&folder, DISK_MIB));
        let central = match &at_central {
            Some(None) => return None,
            _ => Central::init(sandbox.path()),
        };
        let branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        // Smaller disks than the usual reserve.
        let reserve = "[files]\nreserve_mib = 8\n";
        central.configure(reserve);
        branch.configure(central.address, reserve);
        let disk = match at_central {
            Some(disk) => disk?,
            None => branch.replace_data(|data| PoweredDisk::mount(data, DISK_MIB))?,
        };
        let file = sandbox.path().join("a.bin");
        incompressible(&file, FILE_BYTES, 1);
        Some(Self {
            sandbox,
            central,
            branch,
            disk,
            file,
        })
    }

    async fn attach(&self) {
        let number = self.branch.file("With a file").await.number.to_string();
        self.branch.attach(&number, &self.file);
    }

    /// Central proves the file, without ever having lost any of it.
    fn assert_arrives(&self) {
        self.central.wait_file("a.bin", &["held"]);
        assert_quarantined(&self.central, &self.file);
        let log = self.central.log();
        assert!(!log.contains("damaged"), "chunks were named and lost");
        self.central.assert_equal(&self.branch);
    }
}

#[test]
fn what_central_acknowledged_outlives_a_loss_of_power() {
    with_own_mounts(|| async {
        let Some(mut scene) = Scene::new(false) else {
            return;
        };
        scene.central.start();
        scene.branch.start();
        scene.attach().await;
        let client = scene.branch.client();
        wait_until("the whole file to be acknowledged", || async {
            let files = client.files(None, 10).await.ok()?.files;
            let sent = files.iter().all(|file| matches!(file.upload, Upload::Sent));
            sent.then_some(())
        })
        .await;
        scene.disk.cut();
        scene.central.kill();
        // Nobody sends anything again.
        scene.branch.kill();
        scene.disk.restore();
        scene.central.start();
        scene.assert_arrives();
    });
}

#[test]
fn at_each_point_of_keeping_chunks_central_names_none_that_power_takes_away() {
    with_own_mounts(|| async {
        for point in [
            "vault-written",
            "vault-synced",
            "vault-sealed",
            "chunks-kept",
        ] {
            let Some(mut scene) = Scene::new(false) else {
                return;
            };
            let marker = scene.sandbox.path().join("marker");
            let hold = format!("{point}={}", marker.display());
            scene.central.set_environment("BRANCHLINE_HOLD_AT", &hold);
            scene.central.start();
            scene.branch.start();
            scene.attach().await;
            wait_for(point, || marker.exists().then_some(()));
            scene.disk.cut();
            scene.central.kill();
            scene.disk.restore();
            scene.central.clear_environment();
            scene.central.start();
            scene.assert_arrives();
        }
    });
}

#[test]
fn a_file_that_was_saved_outlives_a_loss_of_power_at_the_branch() {
    with_own_mounts(|| async {
        let Some(mut scene) = Scene::new(true) else {
            return;
        };
        scene.branch.start();
        scene.attach().await;
        scene.disk.cut();
        scene.branch.kill();
        scene.disk.restore();
        scene.branch.start();
        scene.central.start();
        scene.branch.wait_drained().await;
        scene.assert_arrives();
    });
}
