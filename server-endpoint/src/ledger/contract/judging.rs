//! What inspection, people and time make of a file, and what is told of it (P5).

use branchline_protocol::file::FileState;
use branchline_protocol::limits;
use branchline_protocol::manifest::Standing;
use branchline_protocol::time::UnixMillis;

use super::announcing::wanted;
use super::attached::{
    CHUNK, TestFile, WIDE, agent_with, announce, announce_within, attach, bring, bring_at, chunk,
    move_to, object, receive, record, told,
};
use crate::ledger::{
    FileFilter, FileRecord, Ledger, LedgerError, MoveFile, UploadBounds, Want, now,
};
use crate::testing::{TestAgent, operation_id};

fn every_state() -> [FileState; 11] {
    [
        FileState::Waiting,
        FileState::Received,
        FileState::Scanning,
        FileState::Clean,
        FileState::Infected {
            signature: "S".into(),
        },
        FileState::Held,
        FileState::TooLarge,
        FileState::Corrupt,
        FileState::Released {
            by: "b".into(),
            reason: "c".into(),
        },
        FileState::Expired,
        FileState::Other,
    ]
}

fn to(record: &FileRecord, state: FileState) -> MoveFile {
    MoveFile {
        file: record.id,
        version: record.version,
        state,
        sniffed: None,
        disguised: false,
        deed: None,
        at: now(),
    }
}

pub(crate) async fn a_file_moves_only_from_where_it_was_seen(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a"]).await;
    receive(ledger, &agent, &file, "one").await;
    let seen = record(ledger, &file).await;
    let scanning = ledger
        .move_file(to(&seen, FileState::Scanning))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&scanning.state, scanning.version),
        (&FileState::Scanning, seen.version + 1)
    );
    // Another inspector, later, has not seen that.
    for state in [FileState::Scanning, FileState::Clean] {
        assert_eq!(ledger.move_file(to(&seen, state)).await.unwrap(), None);
    }
    let mut clean = to(&scanning, FileState::Clean);
    clean.sniffed = Some("application/pdf".into());
    clean.disguised = true;
    let at = clean.at;
    let clean = ledger.move_file(clean).await.unwrap().unwrap();
    assert_eq!(clean.sniffed.as_deref(), Some("application/pdf"));
    assert!(clean.disguised && clean.state_since == at);
    assert_eq!(clean, record(ledger, &file).await);
    let states = [FileState::Received, FileState::Scanning, FileState::Clean];
    assert_eq!(told(ledger, &agent, &file).await, states);
    let mut nobody = to(&seen, FileState::Scanning);
    nobody.file = operation_id("nobody").into();
    assert_eq!(ledger.move_file(nobody).await.unwrap(), None);
}

/// Every pair of states: no way leads to readable bytes but a verdict, or a person's word on what no
/// scanner could judge.
pub(crate) async fn p5_no_file_becomes_readable_but_by_a_verdict_or_a_release(
    ledger: &impl Ledger,
) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    let ways: &[&[FileState]] = &[
        &[],
        &[FileState::Scanning],
        &[FileState::Scanning, FileState::Clean],
        &[FileState::Scanning, every_state()[4].clone()],
        &[FileState::Scanning, FileState::Held],
        &[FileState::Scanning, FileState::TooLarge],
        &[FileState::Scanning, FileState::Corrupt],
        &[
            FileState::Scanning,
            FileState::Held,
            every_state()[8].clone(),
        ],
    ];
    let (mut count, mut allowed) = (0, Vec::new());
    for way in ways {
        for state in every_state() {
            count += 1;
            let word = format!("f{count}");
            let file = TestFile::new(&word, &["a"]);
            attach(ledger, &mut agent, &file, &word).await;
            announce(ledger, &agent, file.whole()).await;
            bring(ledger, &agent, "one", &file.chunks).await;
            for step in *way {
                move_to(ledger, &file, step.clone()).await;
            }
            let before = record(ledger, &file).await;
            match ledger.move_file(to(&before, state.clone())).await {
                Ok(Some(after)) => {
                    assert_eq!((&after.state, after.version), (&state, before.version + 1));
                    allowed.push(format!("{}>{}", before.state.word(), state.word()));
                }
                Ok(None) => panic!("nobody moved it meanwhile"),
                Err(fault) => {
                    assert!(matches!(fault, LedgerError::Broken(_)), "{fault}");
                    assert_eq!(record(ledger, &file).await, before);
                }
            }
        }
    }
    let expected = "received>scanning scanning>clean scanning>infected scanning>held \
        scanning>too_large scanning>corrupt clean>infected clean>held clean>too_large \
        infected>clean infected>held infected>too_large held>clean held>infected held>too_large \
        held>released too_large>clean too_large>infected too_large>held too_large>released \
        released>clean released>infected released>held released>too_large";
    assert_eq!(allowed.join(" "), expected);
}

pub(crate) async fn an_upload_that_does_not_come_is_given_up(ledger: &impl Ledger) {
    let (mut agent, file) = agent_with(ledger, "LYN", "f", &["a", "b", "s"]).await;
    let other = TestFile::new("g", &["s", "t"]);
    attach(ledger, &mut agent, &other, "g").await;
    let unbegun = TestFile::new("h", &["a"]);
    attach(ledger, &mut agent, &unbegun, "h").await;
    let done = TestFile::new("i", &["b"]);
    attach(ledger, &mut agent, &done, "i").await;
    let one = UploadBounds {
        agent_files: 1,
        ..WIDE
    };

    announce(ledger, &agent, file.whole()).await;
    bring(ledger, &agent, "one", &[chunk("a")]).await;
    bring(ledger, &agent, "two", &[chunk("b")]).await;
    announce(ledger, &agent, done.whole()).await;
    let full = announce_within(ledger, &agent, vec![unbegun.whole()], one).await;
    assert_eq!(full.files[0].standing, Standing::NoRoom);
    let hours = |hours: i64| UnixMillis(now().0 + hours * 3_600_000);
    // Not yet.
    assert!(
        ledger
            .expire_uploads(hours(-1), now())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(record(ledger, &file).await.state, FileState::Waiting);
    // Chunks came for another since: that one stays, and what was never begun, and what is complete.
    announce(ledger, &agent, other.whole()).await;
    bring_at(ledger, &agent, "three", &[chunk("t")], hours(2)).await;
    let freed = ledger.expire_uploads(hours(1), hours(3)).await.unwrap();
    assert_eq!(freed, [object("one")]);
    assert_eq!(told(ledger, &agent, &file).await, [FileState::Expired]);
    for (file, state) in [
        (&other, FileState::Waiting),
        (&unbegun, FileState::Waiting),
        (&done, FileState::Received),
    ] {
        assert_eq!(record(ledger, file).await.state, state);
    }
    let given_up = record(ledger, &file).await;
    assert_eq!((given_up.count, given_up.held_bytes), (None, 0));
    assert!(ledger.chunks_of(file.id, 0, 9).await.unwrap().is_empty());
    let asked = vec![chunk("a"), chunk("b"), chunk("s")];
    let wants = ledger.wants(agent.id, asked).await.unwrap();
    assert_eq!(wants, [Want::NotAnnounced, Want::Held, Want::Wanted]);
    assert!(
        ledger
            .expire_uploads(hours(1), hours(3))
            .await
            .unwrap()
            .is_empty()
    );

    // The branch was only offline for long: from the beginning then, and what is still held counts.
    let standing = announce(ledger, &agent, file.section(1, 3)).await;
    assert_eq!(standing, wanted(0, &[]));
    assert_eq!(
        announce(ledger, &agent, file.whole()).await,
        wanted(3, &[(0, 1), (2, 1)])
    );
    bring(ledger, &agent, "four", &[chunk("a"), chunk("s")]).await;
    let states = [FileState::Expired, FileState::Waiting, FileState::Received];
    assert_eq!(told(ledger, &agent, &file).await, states);
    assert_eq!(record(ledger, &file).await.version, 3);
}

/// More places than one step takes back.
pub(crate) async fn a_large_upload_is_given_up_whole(ledger: &impl Ledger) {
    let names: Vec<String> = (0..3_000).map(|n| (n % 2_900).to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (agent, file) = agent_with(ledger, "LYN", "f", &names).await;
    announce(ledger, &agent, file.whole()).await;
    bring(ledger, &agent, "one", &file.chunks[..1_000]).await;
    bring(ledger, &agent, "two", &file.chunks[1_000..2_000]).await;
    let far = UnixMillis(now().0 + 1_000);
    let mut freed = ledger.expire_uploads(far, now()).await.unwrap();
    freed.sort();
    let mut expected = [object("one"), object("two")];
    expected.sort();
    assert_eq!(freed, expected);
    assert_eq!(told(ledger, &agent, &file).await, [FileState::Expired]);
}

pub(crate) async fn a_corrupt_file_gives_its_chunks_back(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a", "b"]).await;
    receive(ledger, &agent, &file, "one").await;
    move_to(ledger, &file, FileState::Scanning).await;
    move_to(ledger, &file, FileState::Corrupt).await;
    let hour = 3_600_000;
    let before = UnixMillis(now().0 - hour);
    assert!(
        ledger
            .expire_uploads(before, now())
            .await
            .unwrap()
            .is_empty()
    );
    let freed = ledger
        .expire_uploads(UnixMillis(now().0 + hour), now())
        .await
        .unwrap();
    assert_eq!(freed, [object("one")]);
    assert_eq!(record(ledger, &file).await.state, FileState::Corrupt);
    let states = [FileState::Received, FileState::Scanning, FileState::Corrupt];
    assert_eq!(told(ledger, &agent, &file).await, states);
}

pub(crate) async fn inspection_takes_small_files_first_and_starves_none(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    let mut large = chunk("large");
    large.1 = limits::CHUNK_MOST_BYTES;
    let mut files = Vec::new();
    // 300 MiB that came first, and small ones: at once, and much later.
    for (word, chunks) in [
        ("large", vec![large; 1_200]),
        ("small", vec![chunk("s")]),
        ("late", vec![chunk("l")]),
    ] {
        let file = TestFile::of(word, chunks);
        attach(ledger, &mut agent, &file, word).await;
        announce(ledger, &agent, file.whole()).await;
        files.push(file);
    }
    let minutes = |minutes: i64| UnixMillis(now().0 + minutes * 60_000);
    bring_at(ledger, &agent, "o1", &files[0].chunks[..1], minutes(0)).await;
    bring_at(ledger, &agent, "o2", &files[1].chunks, minutes(1)).await;
    bring_at(ledger, &agent, "o3", &files[2].chunks, minutes(60)).await;
    let order = async |most| {
        let files = ledger.to_inspect(most).await.unwrap();
        let names = files
            .iter()
            .map(|file| file.name.trim_end_matches(".pdf").to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(order(9).await, ["small", "large", "late"]);
    assert_eq!(order(1).await, ["small"]);
    // One that was left scanning is still there; one that is judged is not.
    move_to(ledger, &files[1], FileState::Scanning).await;
    assert_eq!(order(9).await, ["small", "large", "late"]);
    // One in trouble stands back behind those that came meanwhile, and is not forgotten.
    ledger
        .note_trouble(files[1].id, Some("the scanner does not answer".into()))
        .await
        .unwrap();
    let small = record(ledger, &files[1]).await;
    assert_eq!(
        small.trouble.as_deref(),
        Some("the scanner does not answer")
    );
    assert_eq!(order(9).await.len(), 3);
    ledger.note_trouble(files[1].id, None).await.unwrap();
    assert_eq!(record(ledger, &files[1]).await.trouble, None);
    move_to(ledger, &files[1], FileState::Clean).await;
    assert_eq!(order(9).await, ["large", "late"]);
    ledger
        .note_trouble(operation_id("nobody").into(), None)
        .await
        .unwrap();
}

pub(crate) async fn files_in_trouble_stand_back(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    let names = ["f1", "f2", "f3"];
    let past = UnixMillis(now().0 - 60_000);
    for word in names {
        let file = TestFile::new(word, &[word]);
        attach(ledger, &mut agent, &file, word).await;
        announce(ledger, &agent, file.whole()).await;
        bring_at(ledger, &agent, word, &file.chunks, past).await;
    }
    // Each stands in the way of the next once, and no longer.
    for word in names.iter().chain(&names) {
        let first = ledger.to_inspect(1).await.unwrap().remove(0);
        assert_eq!(first.name, format!("{word}.pdf"));
        let before = now();
        ledger
            .note_trouble(first.id, Some("unreadable".into()))
            .await
            .unwrap();
        // The next noting is at another millisecond.
        while now() == before {
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) async fn files_are_listed(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    for word in ["f1", "f2", "f3"] {
        attach(ledger, &mut lyon, &TestFile::new(word, &["a"]), word).await;
        let theirs = word.replace('f', "g");
        attach(ledger, &mut paris, &TestFile::new(&theirs, &["b"]), &theirs).await;
    }
    let second = TestFile::new("g2", &["b"]);
    receive(ledger, &paris, &second, "one").await;
    let list = async |filter: FileFilter| {
        let files = ledger.files(filter).await.unwrap();
        files
            .into_iter()
            .map(|file| file.name.replace(".pdf", ""))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let most = |most| FileFilter {
        most,
        ..FileFilter::default()
    };
    assert_eq!(list(most(99)).await, "f1 g1 f2 g2 f3 g3");
    let after = Some(operation_id("f2").into());
    assert_eq!(list(FileFilter { after, ..most(2) }).await, "g2 f3");
    let branch = Some(lyon.branch.clone());
    assert_eq!(list(FileFilter { branch, ..most(99) }).await, "f1 f2 f3");
    let state = Some("received");
    assert_eq!(list(FileFilter { state, ..most(99) }).await, "g2");
    let ticket = Some(record(ledger, &second).await.ticket);
    assert_eq!(list(FileFilter { ticket, ..most(99) }).await, "g1 g2 g3");
    let both = FileFilter {
        ticket,
        state: Some("waiting"),
        branch: Some(paris.branch.clone()),
        root: None,
        after: Some(operation_id("g1").into()),
        most: 99,
    };
    assert_eq!(list(both).await, "g3");
    for nothing in [
        FileFilter {
            ticket: Some(operation_id("nobody").into()),
            ..most(99)
        },
        FileFilter {
            after: Some(operation_id("nobody").into()),
            ..most(99)
        },
        FileFilter {
            branch: Some("NCE".parse().unwrap()),
            ..most(99)
        },
    ] {
        assert_eq!(list(nothing).await, "");
    }
    assert_eq!(u64::from(CHUNK), record(ledger, &second).await.held_bytes);
}
