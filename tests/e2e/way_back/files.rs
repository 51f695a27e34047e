//! Files that central gives: to the branch that they were given to and to no other, whole and proven, through
//! kills (P4, P5).

use std::path::{Path, PathBuf};

use branchline_agent_api::GivenState;
use branchline_protocol::exchange::{PROTOCOL_VERSION, VERSION_HEADER};
use branchline_protocol::id::FileId;
use harness::identity::Member;
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_until};
use harness::raw_http::{Answer, Request};

const MB: usize = 1_000_000;

/// Bytes that no compression and no deduplication makes less.
pub(super) fn noise(path: &Path, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(bytes)
        .collect();
    std::fs::write(path, &content).expect("write a file");
    content
}

/// A file of this branch that central has released; and its ticket.
async fn released(branch: &Branch, central: &Central, path: &Path) -> (FileId, String) {
    let number = branch.file("For the manual").await.number.to_string();
    branch.attach(&number, path);
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let held = central.wait_file(name, &["held"]);
    let id = held["file"].as_str().expect("an id").to_owned();
    let words = ["--by", "Ada", "--reason", "ours"];
    succeeded(&central.cli(&[&["files", "release", &id][..], &words].concat()));
    (id.parse().expect("an id"), number)
}

fn give(central: &Central, number: &str, file: FileId) {
    let id = file.to_string();
    succeeded(&central.cli(&["tickets", "reply", number, "Read this.", "--file", &id]));
}

pub(super) async fn wait_here(branch: &Branch, file: FileId) {
    wait_until("the file", || async {
        let given = branch.client().given(file).await.ok()?;
        (given.state == GivenState::Here).then_some(())
    })
    .await;
}

pub(super) fn part_of(branch: &Branch, file: FileId) -> PathBuf {
    branch.data().join("given").join(format!("{file}.part"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p4_a_given_file_comes_whole_through_kills_on_both_sides_and_is_read_offline() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let path = sandbox.path().join("manual.bin");
    let content = noise(&path, 6 * MB);
    let (file, number) = released(&branch, &central, &path).await;
    branch.stop();
    // Slow enough to be killed on the way.
    branch.configure_as_enrolled("[bulk]\nrate = \"8 Mbit/s\"\n");
    give(&central, &number, file);
    branch.start();
    let part = part_of(&branch, file);
    let grown = async |least: u64| {
        wait_until("a part", || async {
            let length = std::fs::metadata(&part).map_or(0, |facts| facts.len());
            (length >= least).then_some(length)
        })
        .await
    };
    let first = grown(1).await;
    branch.kill();
    let here = branch.data().join("given").join(file.to_string());
    assert!(!here.exists(), "a file that is not whole");
    branch.start();
    let refused = branch.cli(&["files", "get", &file.to_string()]);
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    assert!(grown(1).await >= first, "it began anew");
    central.kill();
    central.start();
    wait_here(&branch, file).await;
    central.kill();

    let to = sandbox.path().join("out.bin");
    let to = to.to_str().expect("a plain path");
    succeeded(&branch.cli(&["files", "get", &file.to_string(), "--to", to]));
    assert_eq!(std::fs::read(to).expect("read"), content);
    let again = branch.cli(&["files", "get", &file.to_string(), "--to", to]);
    assert!(text(&again.stderr).contains("is there already"));
    // What decays here is noticed, and nothing is given out.
    let mut bent = content;
    bent[3 * MB] ^= 1;
    std::fs::write(&here, bent).expect("bend it");
    let other = sandbox.path().join("other.bin");
    let output = branch.cli(&[
        "files",
        "get",
        &file.to_string(),
        "--to",
        other.to_str().expect("plain"),
    ]);
    assert!(
        text(&output.stderr).contains("decayed"),
        "{}",
        text(&output.stderr)
    );
    assert!(!other.exists());
}

pub(super) fn ask(central: &Central, who: &Member, file: FileId, range: &str) -> Answer {
    let mut request = Request::new("GET", &format!("/v1/files/{file}"))
        .header(VERSION_HEADER, &PROTOCOL_VERSION.to_string());
    if !range.is_empty() {
        request = request.header("Range", range);
    }
    request.ask(&who.place(central.address)).expect("an answer")
}

#[tokio::test]
async fn p5_a_file_is_given_to_its_branch_alone_and_only_while_it_is_readable() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let path = sandbox.path().join("manual.bin");
    let content = noise(&path, 100_000);
    let (file, number) = released(&branch, &central, &path).await;
    branch.stop();
    let own = central.enrol_by_hand("LYN");
    let strange = central.enrol_by_hand("PAR");
    let status = |who: &Member, range: &str| ask(&central, who, file, range).status;
    assert_eq!(
        status(&own, "bytes=0-9"),
        404,
        "not offered yet, to its own branch"
    );
    give(&central, &number, file);
    let part = ask(&central, &own, file, "bytes=10-29");
    assert_eq!((part.status, part.body.as_slice()), (206, &content[10..30]));
    assert_eq!(part.header("content-range"), Some("bytes 10-29/100000"));
    let rest = ask(&central, &own, file, "bytes=99990-4000000000");
    assert_eq!(
        (rest.status, rest.body.as_slice()),
        (206, &content[99_990..])
    );
    for range in [
        "",
        "bytes=100000-100001",
        "bytes=5-4",
        "bytes=-5",
        "bytes=x-y",
        "lines=1-2",
    ] {
        assert_eq!(status(&own, range), 422, "{range:?}");
    }
    let theirs = ask(&central, &strange, file, "bytes=0-9");
    let nobodys = FileId::from_bytes([9; 16]);
    let nothing = ask(&central, &strange, nobodys, "bytes=0-9");
    assert_eq!((theirs.status, nothing.status), (404, 404));
    assert_eq!(theirs.problem()["detail"], nothing.problem()["detail"]);
}
