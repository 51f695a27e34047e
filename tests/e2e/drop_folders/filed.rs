//! What drop folders have filed, read from the journal; and tickets of one file and of many.

use std::path::{Path, PathBuf};

use branchline_agent_api::DropFolderState;
use branchline_durable_sqlite::{Settings, open_reader};
use branchline_protocol::id::OperationId;
use branchline_protocol::operation::{Body, Operation, Parsed, Priority, TicketFiled};
use harness::processes::{succeeded, wait_for, wait_until};

use super::{Scene, noise, root_of};

/// A file that was attached, with the ticket that it belongs to.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) id: OperationId,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) root: [u8; 32],
    pub(super) by: String,
    pub(super) ticket: TicketFiled,
}

/// The same where every ticket in the journal came from a drop folder, and so has its files.
pub(super) fn files(journal: &Path) -> Vec<File> {
    let (tickets, files) = read(journal);
    let with_files = tickets
        .iter()
        .filter(|ticket| files.iter().any(|file| file.ticket.number == ticket.number));
    assert_eq!(
        with_files.count(),
        tickets.len(),
        "a ticket without its files"
    );
    files
}

/// Every file in the journal, in order.
pub(super) fn attached(journal: &Path) -> Vec<File> {
    read(journal).1
}

fn read(journal: &Path) -> (Vec<TicketFiled>, Vec<File>) {
    let Ok(connection) = open_reader(journal, &Settings::default()) else {
        return (Vec::new(), Vec::new());
    };
    let Ok(mut statement) = connection.prepare("SELECT bytes FROM operation ORDER BY position")
    else {
        return (Vec::new(), Vec::new());
    };
    let rows = statement
        .query_map([], |row| row.get::<_, Vec<u8>>(0))
        .unwrap();
    let mut tickets = Vec::new();
    let mut files = Vec::new();
    for bytes in rows {
        let Ok(Parsed::Known(operation)) = Operation::parse(&bytes.unwrap()) else {
            panic!("an operation that cannot be read");
        };
        match operation.body {
            Body::TicketFiled(ticket) => tickets.push((operation.id, ticket)),
            Body::FileAttached(file) => {
                let of = tickets.iter().find(|(id, _)| id.0 == file.ticket.0);
                files.push(File {
                    id: operation.id,
                    name: file.name,
                    size: file.size,
                    root: file.root.0,
                    by: operation.by.user,
                    ticket: of.expect("a file comes after its ticket").1.clone(),
                });
            }
            _ => {}
        }
    }
    (
        tickets.into_iter().map(|(_, ticket)| ticket).collect(),
        files,
    )
}

/// Waits until a file of this name is filed.
pub(super) fn wait(journal: PathBuf, name: &str) -> File {
    wait_for(&format!("{name} to be filed"), || {
        files(&journal).into_iter().find(|file| file.name == name)
    })
}

#[tokio::test]
async fn a_dropped_file_becomes_a_ticket_with_the_file() {
    let rule =
        "settle_seconds = 1\ncategory = \"scans\"\npriority = \"high\"\npatterns = [\"*.pdf\"]";
    let mut scene = Scene::new(rule);
    scene.branch.start();
    let content = noise(700_000, 1);
    scene.write("Report.PDF", &content);
    scene.write("notes.txt", "not asked for");
    scene.write(".hidden.pdf", "hidden");
    std::fs::create_dir(scene.path("below.pdf")).unwrap();
    std::fs::write(scene.path("below.pdf").join("a.pdf"), "below").unwrap();
    let file = scene.wait_filed("Report.PDF");
    assert_eq!((file.size, file.root), (700_000, root_of(&content)));
    let folder = scene.folder.display();
    assert_eq!(file.ticket.subject, format!("Report.PDF from {folder}"));
    assert!(
        file.ticket
            .description
            .contains("Report.PDF: 700000 bytes, written 20")
    );
    assert_eq!(
        (file.ticket.category.as_str(), file.ticket.priority),
        ("scans", Priority::High)
    );
    let user = succeeded(
        &std::process::Command::new("id")
            .arg("-un")
            .output()
            .unwrap(),
    );
    assert_eq!(file.by, user.trim());
    assert_eq!(file.ticket.contact.name.as_deref(), Some(user.trim()));

    let status = wait_until("the status to say so", || async {
        let status = scene.branch.status().await;
        let folder = status.drop_folders.into_iter().next()?;
        (folder.taken == 1 && folder.waiting == 0).then_some(folder)
    })
    .await;
    assert_eq!(status.state, DropFolderState::Watching, "{status:?}");
    assert!(
        status.last_taken.is_some() && status.last_error.is_none(),
        "{status:?}"
    );
    let said = succeeded(&scene.branch.cli(&["status"]));
    assert!(said.contains(&format!("{folder}: watched")), "{said}");
    assert!(
        said.contains("0 files waiting, 1 filed, last taken"),
        "{said}"
    );

    scene.look_past("last.pdf");
    assert_eq!(scene.names_filed(), ["Report.PDF", "last.pdf"]);
    assert_eq!(std::fs::read(scene.path("Report.PDF")).unwrap(), content);
}

#[test]
fn files_that_arrive_together_share_a_ticket() {
    let mut scene = Scene::new("settle_seconds = 1\nticket_per = \"burst\"");
    scene.branch.start();
    for name in ["c.pdf", "a.pdf", "b.pdf"] {
        scene.write(name, name);
    }
    scene.wait_filed("c.pdf");
    let files = scene.filed();
    assert_eq!(scene.names_filed(), ["a.pdf", "b.pdf", "c.pdf"]);
    let ticket = &files[0].ticket;
    assert!(files.iter().all(|file| file.ticket.number == ticket.number));
    let folder = scene.folder.display();
    assert_eq!(
        ticket.subject,
        format!("3 files from {folder}: a.pdf, b.pdf, c.pdf")
    );

    scene.look_past("later.pdf");
    let later = scene.filed().pop().unwrap();
    assert_ne!(later.ticket.number, ticket.number);
}

#[test]
fn two_thousand_files_at_once_are_all_filed_once() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.branch.start();
    let mut expected: Vec<String> = (0..2_000).map(|n| format!("{n:04}.txt")).collect();
    for (n, name) in expected.iter().enumerate() {
        scene.write(name, noise(200, n as u64));
    }
    let journal = scene.branch.journal();
    // Each wait is for some progress; the whole may take longer than one of them on a slow disk.
    let mut filed = 0;
    while filed < expected.len() {
        filed = wait_for("more of two thousand files", || {
            let now = files(&journal).len();
            (now > filed).then_some(now)
        });
    }
    scene.look_past("9999.txt");
    expected.push("9999.txt".to_owned());
    let mut names = scene.names_filed();
    names.sort();
    assert_eq!(names, expected);
}
