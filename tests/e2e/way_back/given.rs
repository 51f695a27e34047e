//! Files that begin at central: given at the desk, judged there, and carried to one branch, whatever becomes
//! of the link, of either side's disk and of central itself (P4, P5, P7, P10).

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use branchline_agent_api::GivenState;
use branchline_protocol::id::FileId;
use harness::chaos::{Chaos, ChaosProxy};
use harness::clamd::{Clamd, INFECTED};
use harness::middlebox::{Middlebox, Plan};
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_for, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::files::{ask, noise, part_of, wait_here};
use crate::desk::{Support, command};

const MB: usize = 1_000_000;

/// Central with a scanner.
struct Scanned {
    central: Central,
    clamd: Clamd,
    sandbox: TempDir,
}

fn scanned() -> Scanned {
    let sandbox = sandbox();
    let clamd = Clamd::start(sandbox.path());
    let mut central = Central::init(sandbox.path());
    central.configure(&clamd.server_toml());
    central.start();
    Scanned {
        central,
        clamd,
        sandbox,
    }
}

fn reply(support: &Support<'_>, word: u8, number: &str, file: &str) -> (u16, Value) {
    let ticket = support.ticket(number);
    let rest = json!({ "kind": "reply", "text": "Read this.", "files": [file] });
    let answer = support.command(number, &command(word, &ticket["summary"]["version"], &rest));
    (answer.status, answer.json())
}

/// A file that central has clean, and sent with a reply.
fn sent(central: &Central, number: &str, name: &str, content: &[u8]) -> FileId {
    let support = Support::program(central);
    let taken = support.give(number, name, content);
    assert_eq!(taken.status, 201, "{}", taken.text());
    let id = taken.json()["id"].as_str().expect("an id").to_owned();
    support.wait_given(&id, "clean");
    let (status, said) = reply(&support, 1, number, &id);
    assert_eq!(status, 200, "{said}");
    id.parse().expect("an id")
}

async fn filed(branch: &Branch, central: &Central) -> String {
    let number = branch
        .file("How is it switched on?")
        .await
        .number
        .to_string();
    branch.wait_drained().await;
    Support::program(central).ticket(&number);
    number
}

async fn grown(path: &Path, least: u64) -> u64 {
    wait_until("a part", || async {
        let length = std::fs::metadata(path).map_or(0, |facts| facts.len());
        (length >= least).then_some(length)
    })
    .await
}

fn got(branch: &Branch, file: FileId, folder: &Path) -> Vec<u8> {
    let to = folder.join("got.bin");
    let path = to.to_str().expect("a plain path");
    succeeded(&branch.cli(&["files", "get", &file.to_string(), "--to", path]));
    let content = std::fs::read(&to).expect("read");
    std::fs::remove_file(&to).expect("remove");
    content
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p10_a_file_given_at_the_desk_goes_on_behind_a_cut_and_is_read_while_central_is_down() {
    let mut world = scanned();
    let central = &world.central;
    let line = ChaosProxy::start(central.address, 7, Chaos::NONE).expect("a port");
    let mut branch = Branch::join(world.sandbox.path(), central, "LYN", line.addr());
    // Slow enough to be cut on the way.
    branch.configure(line.addr(), "[bulk]\nrate = \"8 Mbit/s\"\n");
    branch.start();
    let number = filed(&branch, central).await;
    let content = noise(&world.sandbox.path().join("manual.pdf"), 6 * MB);
    let file = sent(central, &number, "manual.pdf", &content);
    let part = part_of(&branch, file);
    let before = grown(&part, 2 * MB as u64).await;
    line.down().await.expect("cut the line");
    branch.kill();
    assert!(!branch.data().join("given").join(file.to_string()).exists());
    branch.start();
    let refused = branch.cli(&["files", "get", &file.to_string()]);
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    line.up().await.expect("mend the line");
    wait_here(&branch, file).await;
    let carried = line.stats().bytes_down;
    println!("{carried} bytes came for a file of 6 MB that was cut at {before}");
    // What was in flight is lost, and no more: to begin anew would cost two million.
    assert!(
        (6_000_000..7_500_000).contains(&carried),
        "{carried} bytes came"
    );
    world.central.kill();
    assert_eq!(got(&branch, file, world.sandbox.path()), content);
    let shown = succeeded(&branch.cli(&["ticket", "show", &number]));
    assert!(
        shown.contains("manual.pdf") && shown.contains(&file.to_string()),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_what_is_not_clean_goes_to_no_branch() {
    let world = scanned();
    let central = &world.central;
    let mut branch = Branch::join(world.sandbox.path(), central, "LYN", central.address);
    branch.start();
    let number = filed(&branch, central).await;
    let own = central.enrol_by_hand("LYN");
    let strange = central.enrol_by_hand("PAR");
    let support = Support::program(central);
    let give = |name: &str, content: &[u8]| {
        let taken = support.give(&number, name, content);
        assert_eq!(taken.status, 201, "{}", taken.text());
        taken.json()["id"].as_str().expect("an id").to_owned()
    };
    // While the scanner does not answer, nothing is known of the file, and nobody gets it.
    world.clamd.freeze(true);
    let infected = give("invoice.exe", &[b"an invoice with a ", INFECTED].concat());
    let clean = give("letter.txt", b"a letter, and nothing else");
    let shut = |id: &str| {
        let id: FileId = id.parse().expect("an id");
        [&own, &strange].map(|who| ask(central, who, id, "bytes=0-9").status)
    };
    for id in [&infected, &clean] {
        assert_eq!(reply(&support, 1, &number, id).0, 422);
        assert_eq!(shut(id), [404, 404]);
    }
    world.clamd.freeze(false);
    let found = support.wait_given(&infected, "infected");
    assert!(
        found["detail"]
            .as_str()
            .is_some_and(|found| found.contains("Branchline.Test")),
        "{found}"
    );
    let (status, said) = reply(&support, 2, &number, &infected);
    assert_eq!((status, &said["field"]), (422, &json!("files[0]")));
    assert_eq!(shut(&infected), [404, 404]);
    support.wait_given(&clean, "clean");
    assert_eq!(shut(&clean), [404, 404], "no reply has it yet");

    let (status, said) = reply(&support, 3, &number, &clean);
    assert_eq!(status, 200, "{said}");
    let file: FileId = clean.parse().expect("an id");
    wait_here(&branch, file).await;
    // To its branch, and to no other.
    assert_eq!(shut(&clean), [206, 404]);
    let shown = branch
        .client()
        .given(infected.parse().expect("an id"))
        .await;
    assert!(shown.is_err(), "{shown:?}");
    let listed = std::fs::read_dir(branch.data().join("given")).expect("the folder");
    assert_eq!(listed.count(), 1);

    // Found later, it is given no more.
    world.clamd.learn("Later.Test", b"a letter");
    succeeded(&central.cli(&["files", "rescan", &clean]));
    support.wait_given(&clean, "infected");
    assert_eq!(shut(&clean), [404, 404]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_another_branchs_file_goes_with_no_reply() {
    let world = scanned();
    let central = &world.central;
    let mut lyon = Branch::join(world.sandbox.path(), central, "LYN", central.address);
    let mut paris = Branch::join(world.sandbox.path(), central, "PAR", central.address);
    lyon.start();
    paris.start();
    let (here, there) = (filed(&lyon, central).await, filed(&paris, central).await);
    let support = Support::program(central);
    let path = world.sandbox.path().join("secret.txt");
    std::fs::write(&path, "what Paris sent").expect("write");
    paris.attach(&there, &path);
    let theirs = central.wait_file("secret.txt", &["clean"])["file"]
        .as_str()
        .expect("an id")
        .to_owned();
    let taken = support.give(&there, "for-paris.txt", b"for Paris alone");
    let given = taken.json()["id"].as_str().expect("an id").to_owned();
    support.wait_given(&given, "clean");
    for (word, id) in [(1, &theirs), (2, &given)] {
        let (status, said) = reply(&support, word, &here, id);
        assert_eq!(
            (status, &said["field"]),
            (422, &json!("files[0]")),
            "{said}"
        );
    }
    for (word, id) in [(3, &theirs), (4, &given)] {
        assert_eq!(reply(&support, word, &there, id).0, 200);
    }
    wait_here(&paris, given.parse().expect("an id")).await;
}

/// Inside TLS, where somebody could: each part that is bent is noticed, and asked for again alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_a_bit_flipped_on_the_way_costs_the_part_that_it_is_in() {
    let world = scanned();
    let central = &world.central;
    let middlebox = Middlebox::start(central).await;
    let flipped = Arc::new(AtomicUsize::new(0));
    let (counted, mut parts) = (flipped.clone(), 0);
    middlebox.set_rule(move |heading| {
        let mut plan = Plan::default();
        if heading.target.starts_with("/v1/files/") {
            parts += 1;
            if parts <= 6 && parts % 2 == 0 {
                counted.fetch_add(1, Ordering::Relaxed);
                plan.flip_reply = Some(20_000 + parts);
            }
        }
        plan
    });
    let mut branch = Branch::join(world.sandbox.path(), central, "LYN", middlebox.address());
    branch.start();
    let number = filed(&branch, central).await;
    let content = noise(&world.sandbox.path().join("manual.pdf"), MB);
    let file = sent(central, &number, "manual.pdf", &content);
    wait_here(&branch, file).await;
    assert_eq!(flipped.load(Ordering::Relaxed), 3);
    assert_eq!(got(&branch, file, world.sandbox.path()), content);
    assert!(
        !branch.log().contains("is fetched anew"),
        "{}",
        branch.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_a_part_that_decays_on_the_branchs_disk_is_never_read_and_heals() {
    let world = scanned();
    let central = &world.central;
    let mut branch = Branch::join(world.sandbox.path(), central, "LYN", central.address);
    branch.configure_as_enrolled("[bulk]\nrate = \"8 Mbit/s\"\n");
    branch.start();
    let number = filed(&branch, central).await;
    let content = noise(&world.sandbox.path().join("manual.pdf"), 3 * MB);
    let file = sent(central, &number, "manual.pdf", &content);
    let part = part_of(&branch, file);
    grown(&part, MB as u64).await;
    branch.kill();
    let mut decaying = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&part)
        .expect("open the part");
    let mut byte = [0];
    decaying.seek(SeekFrom::Start(1_000)).expect("seek");
    decaying.read_exact(&mut byte).expect("read");
    decaying.seek(SeekFrom::Start(1_000)).expect("seek");
    decaying.write_all(&[byte[0] ^ 1]).expect("write");
    drop(decaying);
    branch.start();
    wait_here(&branch, file).await;
    assert_eq!(got(&branch, file, world.sandbox.path()), content);
    assert!(branch.log().contains("is fetched anew"), "{}", branch.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_tickets_and_answers_go_while_a_file_from_central_comes() {
    let world = scanned();
    let central = &world.central;
    let mut branch = Branch::join(world.sandbox.path(), central, "LYN", central.address);
    // Some eight minutes for the file.
    branch.configure_as_enrolled("[bulk]\nrate = \"100 kbit/s\"\n");
    branch.start();
    let number = filed(&branch, central).await;
    let content = noise(&world.sandbox.path().join("image.iso"), 6 * MB);
    let file = sent(central, &number, "image.iso", &content);
    grown(&part_of(&branch, file), 1).await;
    for round in 0..10 {
        for ticket in 0..5 {
            branch.file(&format!("Ticket {ticket} of {round}")).await;
        }
        branch.wait_drained().await;
        let words = format!("Answer {round}");
        succeeded(&central.cli(&["tickets", "reply", &number, &words]));
        wait_for("the answer", || {
            let shown = text(&branch.cli(&["ticket", "show", &number]).stdout);
            shown.contains(&words).then_some(())
        });
    }
    let state = branch
        .client()
        .given(file)
        .await
        .expect("it is known")
        .state;
    assert_eq!(
        state,
        GivenState::Wanted,
        "the tickets came behind the file"
    );
    // Nobody holds it back any more.
    branch.stop();
    branch.configure_as_enrolled("");
    branch.start();
    wait_here(&branch, file).await;
    assert_eq!(got(&branch, file, world.sandbox.path()), content);
}

/// Killed between the vault and the ledger, and with nobody who sends the reply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_what_no_reply_takes_is_given_up_and_its_bytes_go() {
    let mut world = scanned();
    let mut branch = Branch::join(
        world.sandbox.path(),
        &world.central,
        "LYN",
        world.central.address,
    );
    branch.start();
    let number = filed(&branch, &world.central).await;
    let content = noise(&world.sandbox.path().join("unsent.bin"), MB);
    let sent = sent(&world.central, &number, "sent.txt", b"goes with a reply");
    wait_here(&branch, sent).await;
    let unsent = {
        let support = Support::program(&world.central);
        let taken = support.give(&number, "unsent.bin", &content);
        let id = taken.json()["id"].as_str().expect("an id").to_owned();
        support.wait_given(&id, "clean");
        id
    };
    let root = blake3::hash(&content).to_hex().to_string();
    let released = || {
        let folder = world.central.vault().join("released").join(&root[..2]);
        folder.join(&root).exists()
    };
    // The verdict is written before the file is moved.
    wait_for("it to be released", || released().then_some(()));
    world.central.stop();
    world.central.set_clock(8 * 24 * 3_600);
    world.central.start();
    wait_for("its bytes to go", || {
        let folder = world.central.vault().join("released").join(&root[..2]);
        (!folder.join(&root).exists()).then_some(())
    });
    let shown = |id: &str| {
        let files = world.central.files();
        let file = files
            .iter()
            .find(|file| file["file"] == id)
            .expect("it is known");
        file["state"].clone()
    };
    assert_eq!(shown(&unsent), "expired");
    assert_eq!(shown(&sent.to_string()), "clean");
}

/// One id leads from the agent's log to central's, in both lanes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requests_id_is_in_the_agents_log_and_in_centrals() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.set_environment("RUST_LOG", "debug");
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.set_environment("RUST_LOG", "debug");
    branch.start();
    let number = branch.file("With a file").await.number.to_string();
    let path = sandbox.path().join("photo.bin");
    noise(&path, 100_000);
    branch.attach(&number, &path);
    central.wait_file("photo.bin", &["held"]);
    for target in ["/v1/operations", "/v1/manifests", "/v1/chunks"] {
        wait_for(target, || {
            let (here, there) = (branch.log(), central.log());
            let ids = here
                .lines()
                .filter(|line| line.contains(target))
                .filter_map(id_in);
            let both = |id: &&str| {
                let line = |line: &str| line.contains(*id) && line.contains(target);
                there.lines().any(line)
            };
            ids.into_iter().find(both).map(str::to_owned)
        });
    }
    // And what central refuses stands in both without being asked for.
    branch.stop();
    let agents = crate::enrolment::agents(&central);
    let agent = agents[0]["agent"].as_str().expect("an id");
    central.stop();
    central.clear_environment();
    branch.clear_environment();
    central.start();
    succeeded(&central.cli(&["agent", "revoke", agent]));
    branch.start();
    wait_for("a refusal in both logs", || {
        let (here, there) = (branch.log(), central.log());
        let lines = here
            .lines()
            .filter(|line| line.contains("not with what was asked for"));
        let mut ids = lines.filter_map(id_in);
        ids.find(|id| there.contains(id)).map(str::to_owned)
    });
}

/// The request's id in a line of the agent's log.
fn id_in(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("request=")?;
    let id = rest.split_whitespace().next()?.trim_matches('"');
    (id.len() == 16).then_some(id)
}
