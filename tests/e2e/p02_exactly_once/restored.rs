//! P2 when disks are put back to older images: a branch's, central's, or both at once. What one of the
//! two still has arrives once, and a number that was given out twice is told apart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use branchline_agent_api::{Delivery, LinkState, OperationSaved, TicketSummary};
use branchline_durable_sqlite::{Settings, open_reader};
use branchline_protocol::id::{TicketId, TicketNumber};
use harness::journal;
use harness::processes::{Branch, Central, sandbox, succeeded, wait_for, wait_until};
use tempfile::TempDir;

use super::record::{Record, held_tickets};

/// A data folder as it was, to be put back. Taken and put back while its owner does not run.
struct Image {
    folder: PathBuf,
    copy: TempDir,
}

impl Image {
    fn of(folder: &Path) -> Self {
        let copy = sandbox();
        copy_folder(folder, copy.path());
        let folder = folder.to_owned();
        Self { folder, copy }
    }

    fn put_back(&self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
        copy_folder(self.copy.path(), &self.folder);
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// Central and a branch, both running, and what the branch was answered.
struct Scene {
    central: Central,
    branch: Branch,
    record: Record,
    sandbox: TempDir,
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
            record: Record::default(),
            sandbox,
        }
    }

    /// Files tickets that must arrive.
    async fn file(&mut self, what: &str, count: usize) -> Vec<OperationSaved> {
        let filed = self.file_in_vain(what, count).await;
        filed.iter().for_each(|saved| self.record.filed(saved));
        filed
    }

    /// Files tickets that both disks will have forgotten.
    async fn file_in_vain(&self, what: &str, count: usize) -> Vec<OperationSaved> {
        let mut filed = Vec::new();
        for n in 1..=count {
            filed.push(self.branch.file(&format!("{what} {n}")).await);
        }
        filed
    }

    async fn image_of_branch(&mut self) -> Image {
        self.branch.stop();
        let image = Image::of(&self.branch.data());
        self.branch.start();
        image
    }

    fn image_of_central(&mut self) -> Image {
        self.central.stop();
        let image = Image::of(self.central.folder());
        self.central.start();
        image
    }

    /// Starts central and waits until it has stopped for ever at this point.
    fn hold_central_at(&mut self, point: &str) {
        let marker = self.sandbox.path().join("marker");
        let hold = format!("{point}={}", marker.display());
        self.central.set_environment("BRANCHLINE_HOLD_AT", &hold);
        self.central.start();
        wait_for(point, || marker.exists().then_some(()));
    }

    /// The branch wakes up in an older state and is used at once, before central can be reached.
    async fn file_in_the_past(&mut self, image: &Image, what: &str) -> Vec<OperationSaved> {
        self.branch.kill();
        image.put_back();
        self.central.stop();
        self.branch.start();
        self.file(what, 2).await
    }

    /// Waits until all that must arrive has, and until both sides say the same of it.
    async fn wait_settled(&self) {
        let expected = self.record.len();
        wait_until("central to hold all", || async {
            (held_tickets(&self.central, "LYN").len() >= expected).then_some(())
        })
        .await;
        self.branch.wait_drained().await;
        self.record.assert_arrived(&self.central, "LYN");
        self.central.assert_equal(&self.branch);
        let held = self.held_numbers();
        wait_until("the branch to know central's numbers", || async {
            let listed = self.branch.client().tickets(None, 200).await.unwrap();
            let accepted = |ticket: &&TicketSummary| ticket.delivery == Delivery::Received;
            let same = |ticket: &TicketSummary| held.get(&ticket.id) == Some(&ticket.number);
            let mut accepted = listed.tickets.iter().filter(accepted);
            accepted.all(same).then_some(())
        })
        .await;
    }

    fn held_numbers(&self) -> BTreeMap<TicketId, TicketNumber> {
        held_tickets(&self.central, "LYN")
            .into_iter()
            .map(|held| (held.ticket, held.number))
            .collect()
    }

    /// These tickets have this suffix at central, and people at the branch see it.
    fn assert_suffix(&self, filed: &[OperationSaved], suffix: u32) {
        let held = self.held_numbers();
        let listed = succeeded(&self.branch.cli(&["ticket", "list", "--limit", "200"]));
        for saved in filed {
            let mut number = saved.number.clone();
            number.suffix = suffix;
            assert_eq!(held[&saved.operation.into()], number);
            let shown = listed
                .split_whitespace()
                .any(|word| word == number.to_string());
            assert!(shown, "{number} is not in the list:\n{listed}");
        }
    }

    /// From now on no number is given out that anybody has had.
    async fn assert_new_numbers_are_free(&mut self) {
        let taken: Vec<u32> = self.held_numbers().values().map(|n| n.serial).collect();
        let filed = self.file("Filed when all had been noticed", 2).await;
        for saved in &filed {
            assert!(
                !taken.contains(&saved.number.serial),
                "{} is taken",
                saved.number
            );
        }
        self.wait_settled().await;
        self.assert_suffix(&filed, 1);
    }
}

fn serials(filed: &[OperationSaved]) -> Vec<u32> {
    filed.iter().map(|saved| saved.number.serial).collect()
}

/// Twice, so that the third holder of a number is told apart from the second.
#[tokio::test]
async fn a_branch_put_back_to_an_older_image_gives_numbers_out_again() {
    let mut scene = Scene::start();
    scene.file("Before the image", 3).await;
    scene.branch.wait_drained().await;
    let image = scene.image_of_branch().await;
    scene.file("First life", 4).await;
    scene.branch.wait_drained().await;
    for life in 2..=3 {
        let again = scene
            .file_in_the_past(&image, &format!("Life {life}"))
            .await;
        assert_eq!(serials(&again), [4, 5]);
        scene.central.start();
        scene.wait_settled().await;
        scene.assert_suffix(&again, life);
        scene.assert_new_numbers_are_free().await;
    }
}

#[tokio::test]
async fn a_branch_put_back_that_hears_of_it_first_gives_no_number_out_again() {
    let mut scene = Scene::start();
    scene.file("Before the image", 3).await;
    scene.branch.wait_drained().await;
    let image = scene.image_of_branch().await;
    scene.file("First life", 4).await;
    let before = scene.branch.wait_drained().await.stream;
    scene.branch.kill();
    image.put_back();
    scene.branch.start();
    wait_until("the branch to notice", || async {
        (scene.branch.status().await.stream != before).then_some(())
    })
    .await;
    let later = scene.file("Second life", 2).await;
    assert_eq!(serials(&later), [8, 9]);
    scene.wait_settled().await;
    scene.assert_suffix(&later, 1);
}

/// What waited when the image was taken has arrived since, and is submitted again.
#[tokio::test]
async fn a_branch_put_back_to_an_image_with_operations_that_wait() {
    let mut scene = Scene::start();
    scene.file("Acknowledged in the image", 2).await;
    scene.branch.wait_drained().await;
    scene.central.stop();
    scene.file("Waiting in the image", 3).await;
    let image = scene.image_of_branch().await;
    scene.central.start();
    scene.file("First life", 2).await;
    scene.branch.wait_drained().await;
    let again = scene.file_in_the_past(&image, "Second life").await;
    assert_eq!(serials(&again), [6, 7]);
    scene.central.start();
    scene.wait_settled().await;
    scene.assert_suffix(&again, 2);
    scene.assert_new_numbers_are_free().await;
}

/// Central forgets operations and events; nobody files anything, and what a branch has comes back:
/// from an agent that goes on running, and from one that is started later.
async fn central_put_back(in_the_image: usize) {
    let mut scene = Scene::start();
    let mut other = Branch::join(
        scene.sandbox.path(),
        &scene.central,
        "PAR",
        scene.central.address,
    );
    other.start();
    scene.file("In the image", in_the_image).await;
    scene.branch.wait_drained().await;
    let image = scene.image_of_central();
    scene.file("Not in the image", 3).await;
    let mut others = Record::default();
    for n in 0..3 {
        others.filed(&other.file(&format!("Of another branch {n}")).await);
    }
    other.wait_drained().await;
    let future = reject_one(&mut scene).await;

    other.kill();
    scene.central.stop();
    image.put_back();
    scene.central.start();
    // Whether the agent lost the connection or not: its feed's cursor is from the future.
    scene.wait_settled().await;
    let status = scene.branch.status().await;
    assert_eq!(
        (status.link.state, status.rejected),
        (LinkState::Connected, 1)
    );
    other.start();
    wait_until("the other branch's tickets", || async {
        (held_tickets(&scene.central, "PAR").len() == 3).then_some(())
    })
    .await;
    other.wait_drained().await;
    others.assert_arrived(&scene.central, "PAR");
    scene.central.assert_equal(&other);
    // Central tells of the rejection again, and the branch has left the cursor that is no more.
    wait_until("the feed to go on", || async {
        feed_cursor(&scene.branch).filter(|cursor| *cursor != future)
    })
    .await;
    scene.file("After all this", 1).await;
    scene.wait_settled().await;
}

#[tokio::test]
async fn central_put_back_to_an_older_image_is_refilled() {
    central_put_back(2).await;
}

#[tokio::test]
async fn central_put_back_to_before_a_branchs_first_operation_is_refilled() {
    central_put_back(0).await;
}

/// While central is being refilled the branch says so, and a kill of both in the middle of it costs
/// nothing.
#[tokio::test]
async fn a_refill_that_is_cut_short_goes_on() {
    let mut scene = Scene::start();
    scene.file("In the image", 2).await;
    scene.branch.wait_drained().await;
    let image = scene.image_of_central();
    scene.file("Not in the image", 3).await;
    scene.branch.wait_drained().await;
    scene.central.stop();
    image.put_back();
    // An agent whose feed holds nothing yet learns of a restore by losing the connection.
    wait_until("the branch to miss central", || async {
        let status = scene.branch.status().await;
        (status.link.state == LinkState::Waiting).then_some(())
    })
    .await;
    scene.hold_central_at("append-before-commit");
    assert_eq!(scene.branch.status().await.waiting, 3);
    scene.branch.kill();
    scene.central.kill();
    scene.central.clear_environment();
    scene.central.start();
    scene.branch.start();
    scene.wait_settled().await;
}

/// Files something that central cannot accept, so that the branch's feed has news; answers the cursor
/// behind them.
async fn reject_one(scene: &mut Scene) -> String {
    scene.central.stop();
    let refused = scene
        .file_in_vain("Becomes an operation of a newer agent", 1)
        .await;
    scene.branch.stop();
    journal::rewrite(&scene.branch.journal(), refused[0].operation, |text| {
        text.replace(r#""kind":"ticket_filed""#, r#""kind":"ticket_imagined""#)
    });
    scene.central.start();
    scene.branch.start();
    scene.branch.wait_drained().await;
    wait_until("news", || async { feed_cursor(&scene.branch) }).await
}

fn feed_cursor(branch: &Branch) -> Option<String> {
    let journal = open_reader(&branch.journal(), &Settings::default()).unwrap();
    let sql = "SELECT value FROM setting WHERE name = 'feed_cursor'";
    let cursor: Option<String> = journal.query_row(sql, [], |row| row.get(0)).ok();
    cursor.filter(|cursor| !cursor.is_empty())
}

#[tokio::test]
async fn both_put_back_the_branch_further() {
    let mut scene = Scene::start();
    scene.file("In both images", 2).await;
    scene.branch.wait_drained().await;
    let branch = scene.image_of_branch().await;
    scene.file("In central's image", 2).await;
    scene.branch.wait_drained().await;
    let central = scene.image_of_central();
    scene.file_in_vain("In no image", 2).await;
    scene.branch.wait_drained().await;
    let again = scene.file_in_the_past(&branch, "Second life").await;
    assert_eq!(serials(&again), [3, 4]);
    central.put_back();
    scene.central.start();
    scene.wait_settled().await;
    scene.assert_suffix(&again, 2);
    scene.assert_new_numbers_are_free().await;
}

#[tokio::test]
async fn both_put_back_central_further() {
    let mut scene = Scene::start();
    scene.file("In both images", 2).await;
    scene.branch.wait_drained().await;
    let central = scene.image_of_central();
    scene.file("In the branch's image", 2).await;
    scene.branch.wait_drained().await;
    let branch = scene.image_of_branch().await;
    scene.file_in_vain("In no image", 2).await;
    scene.branch.wait_drained().await;
    let again = scene.file_in_the_past(&branch, "Second life").await;
    assert_eq!(serials(&again), [5, 6]);
    central.put_back();
    scene.central.start();
    scene.wait_settled().await;
    // The first holders of these numbers are gone everywhere.
    scene.assert_suffix(&again, 1);
    scene.assert_new_numbers_are_free().await;
}

/// The branch has opened a new stream, and then central forgets that stream and part of the one
/// before: what was acknowledged in either comes back.
#[tokio::test]
async fn central_put_back_to_before_a_fork() {
    let mut scene = Scene::start();
    scene.file("In both images", 2).await;
    scene.branch.wait_drained().await;
    let central = scene.image_of_central();
    scene.file("In the branch's image", 1).await;
    scene.branch.wait_drained().await;
    let branch = scene.image_of_branch().await;
    scene.file_in_vain("In no image", 2).await;
    scene.branch.wait_drained().await;
    let again = scene.file_in_the_past(&branch, "Second life").await;
    scene.central.start();
    scene.branch.wait_drained().await;
    scene.assert_suffix(&again, 2);

    scene.central.stop();
    central.put_back();
    scene.central.start();
    scene.wait_settled().await;
    scene.assert_suffix(&again, 1);
    scene.assert_new_numbers_are_free().await;
}

/// The same while the new stream is not known to central yet: it says what it builds on, and central,
/// which no longer has that, asks for it.
#[tokio::test]
async fn central_put_back_amid_a_fork() {
    let mut scene = Scene::start();
    scene.file("In both images", 2).await;
    scene.branch.wait_drained().await;
    let central = scene.image_of_central();
    scene.file("In the branch's image", 1).await;
    scene.branch.wait_drained().await;
    let branch = scene.image_of_branch().await;
    scene.file_in_vain("In no image", 2).await;
    scene.branch.wait_drained().await;
    let again = scene.file_in_the_past(&branch, "Second life").await;
    // Central's answer to the old stream appends nothing, so that it is the new one that is held.
    scene.hold_central_at("append-before-commit");
    scene.central.kill();
    central.put_back();
    scene.central.clear_environment();
    scene.central.start();
    scene.wait_settled().await;
    scene.assert_suffix(&again, 1);
}
