//! Files that begin at central: judged like any other, for one branch alone, and not for ever.

use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::file::FileState;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{FileId, TicketNumber};
use branchline_protocol::limits;
use branchline_protocol::manifest::Standing;
use branchline_protocol::time::UnixMillis;

use super::attached::{CHUNK, TestFile, announce, attach, move_to, object, receive, record};
use super::desk::{done, refused, reply, shown};
use super::joining::{NOW, deed};
use crate::ledger::{
    Change, ChunkPlace, FileGiven, GIVEN_BYTES, GIVEN_FILES, GiveFile, KeptChunk, Ledger,
};
use crate::testing::{TestAgent, withdrawal};

/// Anna gives this file, in an object of its word.
fn gift(file: &TestFile, word: &str, ticket: &TicketNumber) -> GiveFile {
    let places = file.chunks.iter().zip(0..).map(|(chunk, place)| KeptChunk {
        chunk: *chunk,
        offset: place * u64::from(CHUNK),
        stored: chunk.size(),
        encoding: Encoding::Plain,
    });
    GiveFile {
        id: file.id,
        ticket: ticket.clone(),
        name: format!("{word}.pdf"),
        root: file.root,
        object: object(word),
        chunks: places.collect(),
        by: "anna".into(),
        deed: deed("file-given", word),
        at: NOW,
    }
}

/// A file of chunks with these names, given for the ticket.
async fn given(
    ledger: &impl Ledger,
    word: &str,
    chunks: &[&str],
    ticket: &TicketNumber,
) -> TestFile {
    let file = TestFile::new(word, chunks);
    let answer = ledger.give_file(gift(&file, word, ticket)).await.unwrap();
    assert_eq!(answer, FileGiven::Received, "{word}");
    file
}

async fn judged(ledger: &impl Ledger, file: &TestFile, state: FileState) {
    move_to(ledger, file, FileState::Scanning).await;
    move_to(ledger, file, state).await;
}

async fn branch(ledger: &impl Ledger, code: &str, words: &[&str]) -> TestAgent {
    let mut agent = TestAgent::register(ledger, code).await;
    agent.file(words, 1);
    agent.submit_all(ledger).await;
    agent
}

fn with(file: FileId) -> Change {
    Change::Reply {
        text: "see here".into(),
        files: vec![file],
        then: None,
    }
}

pub(crate) async fn p5_a_file_from_central_is_judged_before_a_reply_carries_it(
    ledger: &impl Ledger,
) {
    let agent = branch(ledger, "LYN", &["a"]).await;
    let number = agent.number(1);
    let before = shown(ledger, &number).await.row.version;
    // The first chunk stands in it twice.
    let file = given(ledger, "manual", &["x", "y", "x"], &number).await;
    let kept = record(ledger, &file).await;
    assert_eq!(
        (kept.state, kept.agent, kept.number, kept.name.as_str()),
        (FileState::Received, None, number.clone(), "manual.pdf")
    );
    assert_eq!((kept.size, kept.held_bytes), (file.size(), file.size()));
    assert_eq!(
        (kept.reporter.as_str(), kept.branch),
        ("anna", agent.branch.clone())
    );
    let due = ledger.to_inspect(9).await.unwrap();
    assert!(due.iter().any(|due| due.id == file.id), "{due:?}");
    let places = ledger.chunks_of(file.id, 0, 9).await.unwrap();
    let offsets: Vec<_> = places
        .iter()
        .map(|placed| match placed.place {
            Some(ChunkPlace::Object { offset, .. }) => offset / u64::from(CHUNK),
            _ => u64::MAX,
        })
        .collect();
    assert_eq!(offsets, [0, 1, 0]);

    let refuse = async |word: &str| refused(ledger, word, &number, with(file.id)).await;
    assert_eq!(refuse("received").await, "files[0]");
    move_to(ledger, &file, FileState::Scanning).await;
    assert_eq!(refuse("scanning").await, "files[0]");
    let offered = async || ledger.offered(agent.branch.clone(), file.id).await.unwrap();
    assert_eq!(offered().await, None);
    assert_eq!(
        shown(ledger, &number).await.row.version,
        before,
        "nobody has to have seen it"
    );
    move_to(ledger, &file, FileState::Clean).await;
    done(ledger, "r", &number, with(file.id)).await;
    let offer = offered().await.unwrap();
    assert_eq!((offer.size, offer.root), (file.size(), file.root));

    // The branch hears of it by the reply, and by nothing else.
    let page = ledger.feed(agent.branch.clone(), None).await.unwrap();
    let bodies: Vec<_> = page.events.iter().filter_map(Event::body).collect();
    let moves = |body: &&EventBody| matches!(body, EventBody::FileMoved { .. });
    assert_eq!(bodies.iter().filter(moves).count(), 0, "{bodies:?}");
    let files = bodies.iter().find_map(|body| match body {
        EventBody::ReplyAdded { files, .. } => Some(files.clone()),
        _ => None,
    });
    assert_eq!(files, Some(vec![offer]));
    assert!(
        shown(ledger, &number).await.files.is_empty(),
        "none of the branch's own"
    );
}

pub(crate) async fn a_file_goes_to_its_own_tickets_branch_alone(ledger: &impl Ledger) {
    let lyon = branch(ledger, "LYN", &["a", "b"]).await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    let theirs = TestFile::new("theirs", &["z"]);
    attach(ledger, &mut paris, &theirs, "theirs").await;
    receive(ledger, &paris, &theirs, "theirs").await;
    judged(ledger, &theirs, FileState::Clean).await;
    let ours = given(ledger, "ours", &["x"], &lyon.number(1)).await;
    judged(ledger, &ours, FileState::Clean).await;

    // Neither what a branch sent nor what was given for it goes to another one.
    let field = refused(ledger, "1", &paris.number(1), with(ours.id)).await;
    assert_eq!(field, "files[0]");
    let field = refused(ledger, "2", &lyon.number(1), with(theirs.id)).await;
    assert_eq!(field, "files[0]");
    for (agent, file) in [(&paris, &ours), (&lyon, &theirs)] {
        let offered = ledger.offered(agent.branch.clone(), file.id).await.unwrap();
        assert_eq!(offered, None);
    }
    // Another ticket of the same branch may have it.
    done(ledger, "3", &lyon.number(2), with(ours.id)).await;
    done(ledger, "4", &paris.number(1), with(theirs.id)).await;
}

pub(crate) async fn what_central_gives_is_nothing_that_a_branch_finds(ledger: &impl Ledger) {
    let mut lyon = branch(ledger, "LYN", &["ticket"]).await;
    let number = lyon.number(1);
    let file = given(ledger, "secret", &["x", "y"], &number).await;
    judged(ledger, &file, FileState::Clean).await;
    let from = lyon.journal.len();
    let same = TestFile::new("same", &["x", "y"]);
    let operation = crate::testing::attachment("same", "ticket", same.size(), same.root);
    lyon.journal.push(operation);
    lyon.submit(ledger, from, from + 1).await;
    let standing = announce(ledger, &lyon, same.whole()).await;
    assert!(
        matches!(&standing, Standing::Wanted { missing, .. } if !missing.is_empty()),
        "{standing:?}"
    );
}

pub(crate) async fn what_breaks_a_rule_is_not_given(ledger: &impl Ledger) {
    let mut agent = branch(ledger, "LYN", &["a", "b"]).await;
    let number = agent.number(1);
    let file = TestFile::new("f", &["x"]);
    let good = gift(&file, "f", &number);
    let wrong_name = |name: &str| GiveFile {
        name: name.into(),
        ..good.clone()
    };
    let empty = GiveFile {
        chunks: Vec::new(),
        ..good.clone()
    };
    let from = agent.journal.len();
    agent.journal.push(withdrawal("w", "b"));
    agent.submit(ledger, from, from + 1).await;
    let withdrawn = gift(&file, "f", &agent.number(2));
    for (give, field) in [
        (wrong_name(""), "name"),
        (wrong_name("a\nb"), "name"),
        (wrong_name(&"x".repeat(limits::FILE_NAME_CHARS + 1)), "name"),
        (empty, "content"),
        (withdrawn, "ticket"),
    ] {
        match ledger.give_file(give).await.unwrap() {
            FileGiven::Refused(fault) => assert_eq!(fault.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let nowhere = gift(&file, "f", &agent.number(9));
    let answer = ledger.give_file(nowhere).await.unwrap();
    assert_eq!(answer, FileGiven::UnknownTicket);
    assert_eq!(ledger.file(file.id).await.unwrap(), None);
    let may = ledger.may_give(agent.number(9), "anna".into(), 1).await;
    assert_eq!(may.unwrap(), Some(FileGiven::UnknownTicket));
    let may = ledger.may_give(number, "anna".into(), 1).await;
    assert_eq!(may.unwrap(), None);
}

pub(crate) async fn p8_whoever_sends_nothing_gives_no_more(ledger: &impl Ledger) {
    let agent = branch(ledger, "LYN", &["a"]).await;
    let number = agent.number(1);
    let may = async |by: &str, bytes| {
        let may = ledger.may_give(number.clone(), by.into(), bytes).await;
        may.unwrap() != Some(FileGiven::TooMuch)
    };
    assert!(may("anna", GIVEN_BYTES).await);
    assert!(!may("anna", GIVEN_BYTES + 1).await);
    let mut files = Vec::new();
    for index in 0..GIVEN_FILES {
        let word = format!("f{index}");
        files.push(given(ledger, &word, &[&word], &number).await);
    }
    assert!(!may("anna", 1).await);
    let more = TestFile::new("more", &["more"]);
    let answer = ledger
        .give_file(gift(&more, "more", &number))
        .await
        .unwrap();
    assert_eq!(answer, FileGiven::TooMuch);
    assert!(may("ben", 1).await, "each has bounds of one's own");
    judged(ledger, &files[0], FileState::Clean).await;
    done(ledger, "r", &number, with(files[0].id)).await;
    assert!(may("anna", 1).await, "what was sent waits no more");
}

pub(crate) async fn a_file_that_no_reply_took_is_given_up(ledger: &impl Ledger) {
    let agent = branch(ledger, "LYN", &["a"]).await;
    let number = agent.number(1);
    let sent = given(ledger, "sent", &["s"], &number).await;
    let unsent = given(ledger, "unsent", &["u", "v"], &number).await;
    let corrupt = given(ledger, "corrupt", &["c"], &number).await;
    let scanning = given(ledger, "scanning", &["w"], &number).await;
    // The same content as one that was sent.
    let mut twin = TestFile::new("twin", &["s"]);
    twin.root = sent.root;
    let answer = ledger
        .give_file(gift(&twin, "twin", &number))
        .await
        .unwrap();
    assert_eq!(answer, FileGiven::Received);
    for file in [&sent, &unsent, &twin] {
        judged(ledger, file, FileState::Clean).await;
        ledger.settle_chunks(file.id).await.unwrap();
    }
    judged(ledger, &corrupt, FileState::Corrupt).await;
    move_to(ledger, &scanning, FileState::Scanning).await;
    done(ledger, "r", &number, with(sent.id)).await;

    let later = UnixMillis(NOW.0 + 1);
    assert!(
        ledger
            .abandon_given(NOW, later)
            .await
            .unwrap()
            .files
            .is_empty()
    );
    let up = ledger.abandon_given(later, later).await.unwrap();
    assert_eq!(up.objects, [object("corrupt")]);
    let mut ended: Vec<_> = up
        .files
        .iter()
        .map(|ended| (ended.file, ended.root))
        .collect();
    ended.sort_unstable_by_key(|(file, _)| *file.as_bytes());
    let mut expected = vec![
        (unsent.id, Some(unsent.root)),
        (corrupt.id, Some(corrupt.root)),
        // What it is called in the vault is another file, too.
        (twin.id, None),
    ];
    expected.sort_unstable_by_key(|(file, _)| *file.as_bytes());
    assert_eq!(ended, expected);
    assert_eq!(record(ledger, &unsent).await.state, FileState::Expired);
    assert_eq!(record(ledger, &sent).await.state, FileState::Clean);
    assert_eq!(record(ledger, &scanning).await.state, FileState::Scanning);
    assert!(ledger.chunks_of(unsent.id, 0, 9).await.unwrap().is_empty());
    assert_eq!(ledger.chunks_of(sent.id, 0, 9).await.unwrap().len(), 1);
    assert_eq!(
        refused(ledger, "x", &number, with(unsent.id)).await,
        "files[0]"
    );

    // Until the bytes are gone it is told again, and then no more.
    let again = ledger.abandon_given(later, later).await.unwrap();
    assert_eq!(again.files.len(), 3);
    let gone = again.files.iter().map(|ended| ended.file).collect();
    ledger.forget_given(gone).await.unwrap();
    assert!(
        ledger
            .abandon_given(later, later)
            .await
            .unwrap()
            .files
            .is_empty()
    );
    done(ledger, "y", &number, reply("never mind")).await;
}
