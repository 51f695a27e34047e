//! P2 and identity: certificates renewed, and central put back to a backup from before that, or from
//! before an agent joined. Nobody is locked out, and what was filed arrives once.

use std::path::PathBuf;

use harness::processes::{Branch, Central, sandbox, succeeded, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::enrolment::agents;
use crate::p02_exactly_once::copy_folder;

const DAY: i64 = 24 * 3_600;
/// When every agent of a new certificate is due: two thirds of 90 days, a sixth of spread, and a day.
const RENEWED: i64 = 76 * DAY;

struct Scene {
    central: Central,
    branch: Branch,
    sandbox: TempDir,
    backup: PathBuf,
}

impl Scene {
    fn start() -> Self {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        central.start();
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        Self {
            central,
            branch,
            backup: sandbox.path().join("backup"),
            sandbox,
        }
    }

    /// Both clocks go on, and both start again: agents see that they are due.
    fn pass(&mut self, seconds: i64) {
        self.branch.kill();
        self.central.stop();
        self.central.set_clock(seconds);
        self.branch.set_clock(seconds);
        self.central.start();
        self.branch.start();
    }

    fn back_up(&mut self) {
        self.central.stop();
        copy_folder(self.central.folder(), &self.backup);
        self.central.start();
    }

    fn put_back(&mut self) {
        self.central.kill();
        std::fs::remove_dir_all(self.central.folder()).expect("remove central's folder");
        copy_folder(&self.backup, self.central.folder());
        self.central.start();
    }

    fn certificates(&self) -> Vec<Value> {
        let shown = succeeded(&self.central.cli(&["agent", "show", "LYN", "--json"]));
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        shown["certificates"]
            .as_array()
            .expect("certificates")
            .clone()
    }

    async fn wait_renewed(&self, before: usize) {
        wait_until("a new certificate to be in use", || async {
            let all = self.certificates();
            (all.len() > before && all[0]["state"] == "proven").then_some(())
        })
        .await;
    }

    /// What is filed now arrives, with all that came before.
    async fn assert_works(&self, operations: u32) {
        self.branch.file("As ever").await;
        self.branch.wait_drained().await;
        let said = self.central.assert_equal(&self.branch);
        let held = format!("{operations} operations at the branch, {operations} at central");
        assert!(said.contains(&held), "{said}");
        assert_eq!(agents(&self.central).len(), 1);
    }
}

/// Central has forgotten the certificate that the agent shows, and remembers the one that it threw away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn central_put_back_to_before_a_renewal_goes_on_with_the_agent() {
    let mut scene = Scene::start();
    scene.branch.file("In the backup").await;
    scene.branch.wait_drained().await;
    scene.back_up();
    scene.branch.file("Not in the backup").await;
    scene.branch.wait_drained().await;
    scene.pass(RENEWED);
    scene.wait_renewed(1).await;
    scene.branch.file("With the new certificate").await;
    scene.branch.wait_drained().await;

    scene.put_back();
    scene.assert_works(4).await;
    // And the next renewal is one like any other.
    let before = scene.certificates().len();
    scene.pass(2 * RENEWED);
    scene.wait_renewed(before).await;
    scene.assert_works(5).await;
}

/// The branch wakes up from an image of before a renewal: its certificate was superseded since, and still
/// renews.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_put_back_to_before_a_renewal_renews_again() {
    let mut scene = Scene::start();
    scene.branch.file("In the image").await;
    scene.branch.wait_drained().await;
    scene.branch.stop();
    let image = scene.sandbox.path().join("image");
    copy_folder(&scene.branch.data(), &image);
    scene.branch.start();
    scene.pass(RENEWED);
    scene.wait_renewed(1).await;

    scene.branch.kill();
    std::fs::remove_dir_all(scene.branch.data()).expect("remove the data folder");
    copy_folder(&image, &scene.branch.data());
    scene.branch.start();
    scene.wait_renewed(2).await;
    scene.assert_works(2).await;
}

/// Central does not know the agent at all: it says what to do, and a token of its branch makes it the
/// agent that it was, with the journal and the numbers that it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn central_put_back_to_before_an_agent_joined_takes_it_in_again_as_itself() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let backup = sandbox.path().join("backup");
    copy_folder(central.folder(), &backup);
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    branch.file("Before the restore").await;
    branch.wait_drained().await;
    let was = agents(&central)[0]["agent"].clone();

    central.kill();
    std::fs::remove_dir_all(central.folder()).expect("remove central's folder");
    copy_folder(&backup, central.folder());
    central.start();
    branch.file("After the restore").await;
    let client = branch.client();
    wait_until("the agent to say what happened", || async {
        client.status().await.ok()?.last_error
    })
    .await;
    assert!(branch.status().await.waiting > 0);
    let token = central.token("LYN");
    succeeded(&branch.cli(&["enroll", &token]));
    branch.wait_drained().await;
    wait_until("central to have it all again", || async {
        let said = central.audit(&branch).1;
        said.contains("2 operations at the branch, 2 at central")
            .then_some(())
    })
    .await;
    central.assert_equal(&branch);
    assert_eq!(agents(&central)[0]["agent"], was);
    assert_eq!(
        branch.file("Goes on").await.number.to_string(),
        "LYN-000003"
    );
}
