//! Taking files in: killed anywhere, out of room, broken off, asked for twice. What was answered "saved"
//! is there whole, what was not leaves nothing, and tickets are filed whatever becomes of files (P1, P9).

use std::io::{self, Read};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use branchline_agent::store::{ChunkBounds, Store, StoreSettings};
use branchline_agent_api::{Attachment, Client, ClientError, FileSaved, Progress, Upload};
use branchline_protocol::file::FileFault;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{FileId, OperationId, TicketNumber};
use branchline_protocol::problem::{ErrorClass, ProblemKind};
use branchline_protocol::time::UnixMillis;
use harness::disks::{small_disk, with_own_mounts};
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_until};

fn new_id(n: u64) -> OperationId {
    OperationId::from_parts(
        1_790_000_000_000 + n,
        std::array::from_fn(|_| fastrand::u8(..)),
    )
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut noise = vec![0; bytes];
    random.fill(&mut noise);
    noise
}

fn unheard() -> Progress {
    Arc::new(|_| {})
}

fn attachment(number: &TicketNumber, id: OperationId) -> Attachment {
    Attachment {
        number: number.clone(),
        id,
        name: r"C:\Users\Marie\scan 1.pdf".to_owned(),
    }
}

async fn attach(
    client: &Client,
    number: &TicketNumber,
    id: OperationId,
    bytes: Vec<u8>,
) -> Result<FileSaved, ClientError> {
    let size = bytes.len() as u64;
    client
        .attach_reader(
            &attachment(number, id),
            Some(size),
            io::Cursor::new(bytes),
            unheard(),
        )
        .await
}

/// What the store holds of a file, read beside the agent that is not running.
async fn content(branch: &Branch, file: FileId) -> Vec<u8> {
    let settings = StoreSettings {
        folder: branch.data(),
        limit_bytes: 64 << 20,
        branch: branch.code.parse().unwrap(),
        ordinal: 1,
        agent: None,
        chunks: ChunkBounds::default(),
    };
    let store = Store::open(settings, UnixMillis(1)).unwrap();
    let chunks = store.chunks_of(file, 0, 100_000).await.unwrap();
    let mut content = Vec::new();
    for loaded in store.load_chunks(chunks).await.unwrap() {
        let stored = loaded.stored.expect("sound");
        content.extend(match loaded.encoding {
            Encoding::Plain => stored,
            Encoding::Zstd => {
                zstd::bulk::decompress(&stored, loaded.chunk.size() as usize).unwrap()
            }
        });
    }
    content
}

/// Waits until files take no more room than this.
async fn wait_for_used(branch: &Branch, most: u64) {
    let client = branch.client();
    wait_until("chunks that nobody needs to be collected", || async {
        let status = client.status().await.ok()?;
        (status.files.used_bytes <= most).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_kill_at_each_point_of_taking_in_leaves_all_or_nothing() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    for (n, point) in (1..).zip([
        "chunks-added",
        "chunks-durable",
        "file-whole",
        "filing-written",
        "file-attached",
    ]) {
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        let number = branch.file("With a file").await.number;
        branch.kill();
        let marker = branch.folder().join("marker");
        branch.set_environment(
            "BRANCHLINE_HOLD_AT",
            &format!("{point}={}", marker.display()),
        );
        branch.start();
        let (id, bytes) = (new_id(n), noise(n, 6_000_000));
        let (client, asked, sent) = (branch.client(), number.clone(), bytes.clone());
        let under_way = tokio::spawn(async move { attach(&client, &asked, id, sent).await });
        wait_until(point, || async { marker.exists().then_some(()) }).await;
        branch.kill();
        assert!(under_way.await.unwrap().is_err(), "{point}: answered");

        branch.clear_environment();
        branch.start();
        let files = branch.client().files(None, 10).await.unwrap().files;
        let saved = point == "file-attached";
        assert_eq!(files.len(), usize::from(saved), "{point}");
        if !saved {
            wait_for_used(&branch, 400_000).await;
        }
        let again = attach(&branch.client(), &number, id, bytes.clone())
            .await
            .unwrap();
        assert_eq!(again.repeated, saved, "{point}");
        assert_eq!(again.name, "scan 1.pdf");
        let shown = branch.client().ticket(&number).await.unwrap().files;
        assert_eq!(shown.len(), 1, "{point}");
        assert_eq!((shown[0].id, shown[0].upload), (id.into(), Upload::Waiting));
        wait_for_used(&branch, 7_000_000).await;
        branch.stop();
        assert!(content(&branch, id.into()).await == bytes, "{point}");
    }
}

#[tokio::test]
async fn kills_anywhere_while_a_file_pours_in_leave_it_whole_at_last() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("A large file").await.number;
    let (id, bytes) = (new_id(1), noise(seed, 24_000_000));
    for _ in 0..6 {
        let kill_at = random.u64(0..24_000_000);
        let (client, asked, sent) = (branch.client(), number.clone(), bytes.clone());
        let under_way = tokio::spawn(async move { attach(&client, &asked, id, sent).await });
        let client = branch.client();
        wait_until("some of the file", || async {
            let files = client.status().await.ok()?.files;
            let taken = files.taking.first().map(|taking| taking.bytes);
            (taken >= Some(kill_at) || files.waiting > 0).then_some(())
        })
        .await;
        branch.kill();
        let _ = under_way.await.unwrap();
        branch.start();
    }
    let saved = attach(&branch.client(), &number, id, bytes.clone())
        .await
        .unwrap();
    assert_eq!(saved.size, 24_000_000);
    wait_for_used(&branch, 26_000_000).await;
    branch.stop();
    assert!(content(&branch, id.into()).await == bytes);
    succeeded(&branch.cli(&["queue", "verify"]));
}

/// Gives so many bytes and then a fault.
struct BreaksOff(usize);

impl Read for BreaksOff {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the disk came loose"));
        }
        let count = buffer.len().min(self.0);
        buffer[..count].fill_with(|| fastrand::u8(..));
        self.0 -= count;
        Ok(count)
    }
}

#[tokio::test]
async fn a_file_that_breaks_off_or_lies_about_its_size_leaves_nothing() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let client = branch.client();
    let number = branch.file("Broken files").await.number;
    let broken = client
        .attach_reader(
            &attachment(&number, new_id(1)),
            None,
            BreaksOff(9_000_000),
            unheard(),
        )
        .await;
    let said = broken.unwrap_err().to_string();
    assert!(said.contains("the disk came loose"), "{said}");
    for said_size in [1_999_999, 2_000_001] {
        let source = io::Cursor::new(noise(1, 2_000_000));
        let wrong = client
            .attach_reader(
                &attachment(&number, new_id(2)),
                Some(said_size),
                source,
                unheard(),
            )
            .await;
        assert!(matches!(wrong, Err(ClientError::Problem(_))), "{wrong:?}");
    }
    let unknown: TicketNumber = "LYN-000999".parse().unwrap();
    let nowhere = attach(&client, &unknown, new_id(3), noise(1, 5_000_000)).await;
    let Err(ClientError::Problem(problem)) = nowhere else {
        panic!("{nowhere:?}");
    };
    assert_eq!(problem.kind, ProblemKind::NotFound);
    assert!(client.files(None, 10).await.unwrap().files.is_empty());
    wait_for_used(&branch, 400_000).await;
}

#[tokio::test]
async fn the_same_file_at_the_same_time_is_taken_once() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Twice at once").await.number;
    let (id, bytes) = (new_id(1), noise(1, 8_000_000));
    let attempts: Vec<_> = (0..4)
        .map(|_| {
            let (client, number, bytes) = (branch.client(), number.clone(), bytes.clone());
            tokio::spawn(async move { attach(&client, &number, id, bytes).await })
        })
        .collect();
    let mut first = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(saved) => first += usize::from(!saved.repeated),
            Err(fault) => assert_eq!(fault.class(), ErrorClass::TryAgain, "{fault}"),
        }
    }
    assert_eq!(first, 1);
    let other = attach(&branch.client(), &number, id, noise(2, 100)).await;
    let Err(ClientError::Problem(problem)) = other else {
        panic!("{other:?}");
    };
    assert_eq!(problem.kind, ProblemKind::Conflict);
    wait_for_used(&branch, 9_000_000).await;
    branch.stop();
    assert!(content(&branch, id.into()).await == bytes);
}

#[tokio::test]
async fn a_full_quota_refuses_files_and_not_tickets_and_small_ones_still_fit() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.configure(central.address, "[files]\nquota_mib = 16\nfile_mib = 64");
    branch.start();
    let client = branch.client();
    let number = branch.file("Large files").await.number;
    // With its size said, without it, and larger than any file may be.
    let said = attach(&client, &number, new_id(1), noise(1, 20 << 20)).await;
    let unsaid = client
        .attach_reader(
            &attachment(&number, new_id(2)),
            None,
            io::Cursor::new(noise(2, 20 << 20)),
            unheard(),
        )
        .await;
    for refused in [said, unsaid] {
        let Err(ClientError::Problem(problem)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(
            (problem.kind, problem.class),
            (ProblemKind::StoreFull, ErrorClass::CallIt)
        );
        assert!(problem.detail.contains("tickets are still taken"));
    }
    let refused = branch.status().await.files.refused.expect("told of");
    assert_eq!(refused.fault, FileFault::BranchQuota);
    let huge = attach(&client, &number, new_id(3), noise(3, 65 << 20)).await;
    let Err(ClientError::Problem(problem)) = huge else {
        panic!("{huge:?}");
    };
    assert_eq!(problem.kind, ProblemKind::TooLarge);
    branch.file("Still taken").await;
    attach(&client, &number, new_id(4), noise(4, 8 << 20))
        .await
        .unwrap();
    assert!(branch.status().await.files.refused.is_none());
}

#[test]
fn a_full_disk_refuses_files_takes_tickets_and_goes_on_when_there_is_room() {
    with_own_mounts(|| async {
        let sandbox = sandbox();
        let central = Central::init(sandbox.path());
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.replace_data(|data| small_disk(data, 48));
        branch.configure(central.address, "[files]\nreserve_mib = 16");
        branch.start();
        let client = branch.client();
        let number = branch.file("Fills the disk").await.number;
        let refused = client
            .attach_reader(
                &attachment(&number, new_id(1)),
                None,
                io::Cursor::new(noise(1, 60 << 20)),
                unheard(),
            )
            .await;
        let Err(ClientError::Problem(problem)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(problem.kind, ProblemKind::StoreFull);
        let refused = branch.status().await.files.refused.expect("told of");
        assert_eq!(refused.fault, FileFault::BranchDisk);
        // What it had taken is given back, and others fill the disk down to the reserve and below it.
        let chunks = branch.data().join("chunks.db");
        wait_until("what was taken in to be given back to the disk", || async {
            let facts = std::fs::metadata(&chunks).ok()?;
            (facts.len() < 1_000_000).then_some(())
        })
        .await;
        let ballast = branch.data().join("ballast");
        std::fs::write(&ballast, noise(2, 36 << 20)).unwrap();
        let refused = attach(&client, &number, new_id(2), noise(3, 100_000)).await;
        assert!(refused.is_err(), "{refused:?}");
        for n in 0..20 {
            branch.file(&format!("On a full disk {n}")).await;
        }
        std::fs::remove_file(&ballast).unwrap();
        let bytes = noise(4, 8 << 20);
        attach(&client, &number, new_id(3), bytes.clone())
            .await
            .unwrap();
        branch.stop();
        succeeded(&branch.cli(&["queue", "verify"]));
    });
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_commit_harms_nothing() {
    with_own_mounts(|| async {
        use branchline_agent::chunker::Chunker;
        let sandbox = sandbox();
        let folder = sandbox.path().join("data");
        small_disk(&folder, 24);
        let settings = StoreSettings {
            folder,
            limit_bytes: 64 << 20,
            branch: "LYN".parse().unwrap(),
            ordinal: 1,
            agent: None,
            // Nothing is asked beforehand: the disk itself says no.
            chunks: ChunkBounds {
                quota_bytes: 1 << 40,
                reserve_bytes: 0,
            },
        };
        let store = Store::open(settings, UnixMillis(1)).unwrap();
        let taken = store.begin_file().await.unwrap();
        let ballast = sandbox.path().join("data/ballast");
        std::fs::write(&ballast, noise(9, 18 << 20)).unwrap();
        let mut chunker = Chunker::new();
        let mut finished = Vec::new();
        chunker.push(&noise(1, 12 << 20), &mut finished);
        let mut refused = None;
        for (place, one) in (0..).zip(finished) {
            if let Err(fault) = store.add_chunks(taken, place, vec![one]).await {
                refused = Some(fault.to_string());
                break;
            }
        }
        assert!(
            refused
                .expect("the disk is full")
                .contains("disk has no room")
        );
        std::fs::remove_file(&ballast).unwrap();
        let again = store.begin_file().await.unwrap();
        let mut chunker = Chunker::new();
        let mut finished = Vec::new();
        chunker.push(&noise(2, 4 << 20), &mut finished);
        store
            .add_chunks(again, 0, finished)
            .await
            .expect("room again");
    });
}

#[tokio::test]
async fn the_command_line_has_an_answer_for_everything_that_can_be_named() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let folder = sandbox.path().join("files");
    std::fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(path("scan.pdf"), noise(1, 300_000)).unwrap();
    std::fs::write(path("empty"), b"").unwrap();
    let sparse = std::fs::File::create(path("sparse")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    std::os::unix::fs::symlink(path("scan.pdf"), path("link")).unwrap();
    succeeded(&Command::new("mkfifo").arg(path("pipe")).output().unwrap());
    let good = ["scan.pdf", "empty", "sparse", "link"].map(path);
    let bad = [
        path("pipe"),
        path("missing"),
        folder.display().to_string(),
        "/dev/zero".to_owned(),
    ];
    let mut args = vec!["ticket", "new", "-s", "Files", "-d", "All kinds", "--json"];
    args.push("--attach");
    args.extend(good.iter().chain(&bad).map(String::as_str));
    let output = branch.cli(&args);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["number"], "LYN-000001");
    for (index, outcome) in said["files"].as_array().unwrap().iter().enumerate() {
        let saved = index < good.len();
        assert_eq!(outcome["saved"].is_object(), saved, "{outcome}");
        assert_eq!(outcome["refused"].is_object(), !saved, "{outcome}");
    }
    // Forty megabytes of nothing take next to nothing.
    assert!(branch.status().await.files.used_bytes < 1_000_000);
    let from_stdin = ["ticket", "attach", "LYN-000001", "-", "--name", "log.txt"];
    let output = branch.cli_with_input(&from_stdin, b"printer on fire\n");
    assert!(succeeded(&output).contains("log.txt"));
    let shown = succeeded(&branch.cli(&["ticket", "show", "LYN-000001"]));
    assert!(shown.contains("log.txt (16 bytes)") && shown.contains("waiting for the link"));
    let listed = succeeded(&branch.cli(&["files", "list"]));
    assert_eq!(listed.lines().count(), 6, "{listed}");
    assert!(succeeded(&branch.cli(&["status"])).contains("Files"));
}

#[tokio::test]
async fn an_agent_starts_and_takes_files_whatever_became_of_chunks_db() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Damaged").await.number;
    for damage in [0, 20_000] {
        let (id, bytes) = (new_id(1), noise(damage, 3_000_000));
        attach(&branch.client(), &number, id, bytes).await.unwrap();
        branch.stop();
        let path = branch.data().join("chunks.db");
        let mut file = std::fs::read(&path).unwrap();
        let from = usize::try_from(damage).unwrap();
        file[from..from + 100_000].fill(0xee);
        std::fs::write(&path, file).unwrap();
        branch.start();
        branch.file("Tickets are taken").await;
        let client = branch.client();
        wait_until("files to be taken again", || async {
            attach(&client, &number, new_id(2), noise(7, 3_000_000))
                .await
                .ok()
        })
        .await;
    }
    assert!(branch.log().contains("was set aside"), "nothing was said");
    tokio::time::timeout(Duration::from_secs(30), branch.file("Still there"))
        .await
        .unwrap();
}
