//! Files that came with an answer: what is said of them, and that a chosen place holds the whole file or
//! what was there before (P4).

use super::*;
use branchline_agent_api::GivenState;
use branchline_protocol::desk::OfferedFile;

use crate::view::{FileKept, GivenFileView};

const CONTENT: &[u8] = b"how the rollers are cleaned, in many words";

/// Given by central, and on the agent's disk as said.
fn give(desk: &Desk, name: &str, state: GivenState, on_disk: &[u8]) -> OfferedFile {
    let file = OfferedFile {
        file: new_id().into(),
        name: name.to_owned(),
        size: CONTENT.len() as u64,
        root: Digest(*blake3::hash(CONTENT).as_bytes()),
    };
    let given = GivenFile {
        file: file.clone(),
        state,
    };
    desk.agent.world().given.push((given, on_disk.to_vec()));
    file
}

async fn shown(controller: &Controller<Memory>) -> Vec<GivenFileView> {
    let ticket = controller.ticket("LYN-000001").await.unwrap();
    let entries = ticket.entries.into_iter();
    entries.flat_map(|entry| entry.files).collect()
}

/// Everything that lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.collect()
}

fn refused(said: &FileKept) -> String {
    match said {
        FileKept::Refused { trouble } => format!("{} {}", trouble.what, trouble.todo),
        other => panic!("it was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn every_state_is_said_in_words_in_every_language() {
    let desk = Desk::new();
    let states = [
        GivenState::Wanted,
        GivenState::Here,
        GivenState::Refused,
        GivenState::Gone,
    ];
    for state in states {
        give(&desk, "manual\u{202e}fdp.exe", state, CONTENT);
    }
    for language in Language::ALL {
        desk.controller.set_language(language);
        let files = shown(&desk.controller).await;
        let here: Vec<bool> = files.iter().map(|file| file.here).collect();
        assert_eq!(here, [false, true, false, false], "{language:?}");
        let mut words: Vec<&str> = files.iter().map(|file| file.standing.as_str()).collect();
        assert!(words.iter().all(|words| !words.is_empty()), "{files:?}");
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), states.len(), "{files:?}");
        assert_eq!(files[0].name, "manual\u{fffd}fdp.exe");
        assert!(files[0].size.starts_with("42 "), "{files:?}");
    }
    desk.controller.set_language(Language::En);
    let files = shown(&desk.controller).await;
    assert!(files[0].standing.contains("when there is a connection"));
}

#[tokio::test]
async fn p4_a_file_lies_whole_where_it_was_wanted() {
    let desk = Desk::new();
    let file = give(&desk, "manual.pdf", GivenState::Here, CONTENT);
    let offered = desk.controller.given(file.file).await.unwrap();
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("mine.pdf");
    // The picker has asked whether to replace it.
    std::fs::write(&to, "an older one").unwrap();
    let said = desk.controller.keep_given(offered, to.clone()).await;
    let place = to.display().to_string();
    assert!(
        matches!(&said, FileKept::Kept { words } if words.contains(&place)),
        "{said:?}"
    );
    assert_eq!(std::fs::read(&to).unwrap(), CONTENT);
    assert_eq!(names(folder.path()), ["mine.pdf"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0, "it can be run");
    }
}

#[tokio::test]
async fn p4_what_breaks_off_or_has_decayed_leaves_what_was_there() {
    let desk = Desk::new();
    let cut = give(&desk, "cut.pdf", GivenState::Here, CONTENT);
    let decayed = give(&desk, "decayed.pdf", GivenState::Here, b"something else");
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("mine.pdf");
    std::fs::write(&to, "an older one").unwrap();
    desk.agent.breaks_off.store(true, Ordering::SeqCst);
    let said = refused(&desk.controller.keep_given(cut, to.clone()).await);
    assert!(said.contains("try again"), "{said}");
    desk.agent.breaks_off.store(false, Ordering::SeqCst);
    let said = refused(&desk.controller.keep_given(decayed, to.clone()).await);
    assert!(
        said.contains("damaged") && said.contains("tell IT"),
        "{said}"
    );
    assert_eq!(std::fs::read(&to).unwrap(), b"an older one");
    assert_eq!(
        names(folder.path()),
        ["mine.pdf"],
        "nothing is left beside it"
    );
}

#[tokio::test]
async fn a_place_that_does_not_take_it_is_said() {
    let desk = Desk::new();
    let file = give(&desk, "manual.pdf", GivenState::Here, CONTENT);
    let folder = TempDir::new().unwrap();
    let a_folder = folder.path().join("a folder");
    std::fs::create_dir(&a_folder).unwrap();
    for to in [folder.path().join("nowhere/mine.pdf"), a_folder.clone()] {
        let said = refused(&desk.controller.keep_given(file.clone(), to).await);
        assert!(said.contains("another folder"), "{said}");
    }
    assert_eq!(names(folder.path()), ["a folder"]);
    assert!(names(&a_folder).is_empty());
}

#[tokio::test]
async fn what_is_not_here_is_not_asked_a_place_for() {
    let desk = Desk::new();
    let told = [
        (GivenState::Wanted, "by itself"),
        (GivenState::Refused, "ask central support"),
        (GivenState::Gone, "ask central support"),
    ];
    for (state, words) in told {
        let file = give(&desk, "manual.pdf", state, CONTENT);
        let said = refused(&desk.controller.given(file.file).await.unwrap_err());
        assert!(said.contains(words), "{said}");
    }
    let unknown = new_id().into();
    let said = refused(&desk.controller.given(unknown).await.unwrap_err());
    assert!(said.contains("ask central support"), "{said}");
    desk.agent.away.send_replace(true);
    let said = refused(&desk.controller.given(unknown).await.unwrap_err());
    assert!(said.contains("does not answer"), "{said}");
}
