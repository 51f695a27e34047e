//! Nothing that was begun is lost, and nothing damaged is in the way.

use super::*;

fn id(n: u64) -> OperationId {
    OperationId::from_parts(n, [1; 10])
}

fn written(subject: &str) -> DraftText {
    DraftText {
        subject: subject.to_owned(),
        ..DraftText::default()
    }
}

#[test]
fn what_was_written_is_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = Drafts::open(folder.path()).unwrap();
    let draft = drafts.begun(None, || id(1)).unwrap();
    drafts.write(draft.id, written("The till")).unwrap();
    let scan = folder.path().join("scan.pdf");
    fs::write(&scan, b"1234").unwrap();
    drafts
        .add_files(draft.id, vec![(id(2), scan.clone())])
        .unwrap();
    drafts
        .add_pasted(draft.id, id(3), "Screenshot.png", b"png")
        .unwrap();
    // A process that is killed writes nothing more; what is on disk is all there is.
    std::mem::drop(drafts);
    let again = Drafts::open(folder.path()).unwrap();
    let kept = again.get(draft.id).unwrap();
    assert_eq!(kept.text.subject, "The till");
    assert_eq!((kept.files[0].size, kept.files[1].pasted), (4, true));
    assert_eq!(fs::read(&kept.files[1].path).unwrap(), b"png");
    // The form takes up what was begun instead of beginning anew.
    assert_eq!(again.begun(None, || id(9)).unwrap().id, draft.id);
    again.remove(draft.id).unwrap();
    assert!(!kept.files[1].path.exists());
    assert!(Drafts::open(folder.path()).unwrap().all().is_empty());
    assert!(scan.exists(), "the person's own file is theirs");
}

#[test]
fn a_damaged_draft_is_set_aside_and_the_others_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = Drafts::open(folder.path()).unwrap();
    let number: TicketNumber = "LYN-000001".parse().unwrap();
    let draft = drafts.begun(Some(&number), || id(1)).unwrap();
    drafts.write(draft.id, written("x")).unwrap();
    fs::write(folder.path().join("broken.json"), b"{").unwrap();
    let again = Drafts::open(folder.path()).unwrap();
    assert_eq!(again.all().len(), 1);
    assert!(folder.path().join("broken.damaged").exists());
}

#[test]
fn what_was_handed_in_is_not_changed_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = Drafts::open(folder.path()).unwrap();
    let draft = drafts.begun(None, || id(1)).unwrap();
    drafts.write(draft.id, written("x")).unwrap();
    drafts.hand_in(draft.id, true).unwrap();
    let late = drafts.write(draft.id, written("y"));
    assert!(matches!(late, Err(DraftError::HandedIn)), "{late:?}");
    // The next one is a new one.
    assert_ne!(drafts.begun(None, || id(2)).unwrap().id, draft.id);
}

#[test]
fn p8_drafts_and_their_files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = Drafts::open(folder.path()).unwrap();
    let draft = drafts.begun(None, || id(1)).unwrap();
    for n in 0..DRAFT_FILES as u64 {
        drafts.add_pasted(draft.id, id(100 + n), "x", b"x").unwrap();
    }
    let more = drafts.add_pasted(draft.id, id(99), "x", b"x");
    assert!(matches!(more, Err(DraftError::TooMany)), "{more:?}");
    let huge = drafts
        .write(draft.id, written(&"x".repeat(10_000_000)))
        .unwrap();
    assert!(huge.text.subject.len() <= limits::SUBJECT_CHARS * 4);
}
