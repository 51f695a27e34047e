//! When a file is taken: not while anybody writes to it, at once when it was moved into place, and
//! never as a mixture of before and after.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use harness::processes::{succeeded, wait_for};

use super::{Scene, noise, root_of};

#[test]
fn a_file_moved_into_place_is_taken_at_once() {
    let mut scene = Scene::new("settle_seconds = 3600");
    scene.branch.start();
    // A move that nobody heard of is a file like any other.
    wait_for("the folder to be watched", || {
        let said = succeeded(&scene.branch.cli(&["status"]));
        said.contains(": watched").then_some(())
    });
    scene.write("slow.pdf", "this one would take an hour");
    scene.move_in("a.pdf", "whole");
    assert_eq!(scene.wait_filed("a.pdf").root, root_of("whole"));
    // The way of programs that know better.
    scene.write("b.pdf.part", "whole too");
    std::fs::rename(scene.path("b.pdf.part"), scene.path("b.pdf")).unwrap();
    assert_eq!(scene.wait_filed("b.pdf").root, root_of("whole too"));
    assert_eq!(scene.names_filed(), ["a.pdf", "b.pdf"]);
}

#[test]
fn a_slow_writer_is_waited_for() {
    let settle = Duration::from_secs(2);
    let mut scene = Scene::new("settle_seconds = 2");
    scene.branch.start();
    let journal = scene.branch.journal();
    let wrote = |content: &mut Vec<u8>, scene: &Scene| -> Duration {
        // Opened and closed each time: only that it changes tells that somebody writes.
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        for n in 0..60 {
            let more = noise(1_000, n);
            let mut options = OpenOptions::new();
            let mut file = options
                .append(true)
                .create(true)
                .open(scene.path("log.txt"))
                .unwrap();
            file.write_all(&more).unwrap();
            content.extend_from_slice(&more);
            longest = longest.max(last.elapsed());
            last = Instant::now();
            std::thread::sleep(Duration::from_millis(80));
        }
        longest.max(last.elapsed())
    };
    let mut content = Vec::new();
    let longest = wrote(&mut content, &scene);
    let file = scene.wait_filed("log.txt");
    // A machine so busy that the writer itself stood still for so long proves nothing.
    if longest < settle / 2 {
        assert_eq!(file.root, root_of(&content));
        assert_eq!(super::filed::files(&journal).len(), 1);
    }
}

#[test]
fn a_file_that_stands_still_and_is_open_for_writing_is_waited_for() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.branch.start();
    let mut open = std::fs::File::create(scene.path("open.txt")).unwrap();
    open.write_all(b"first").unwrap();
    // Settled later than the open one, and filed before it.
    scene.look_past("b.txt");
    scene.look_past("c.txt");
    assert_eq!(scene.names_filed(), ["b.txt", "c.txt"]);
    open.write_all(b" and last").unwrap();
    drop(open);
    assert_eq!(scene.wait_filed("open.txt").root, root_of("first and last"));
    assert_eq!(scene.filed().len(), 3);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_read_again() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.branch.start();
    let before = noise(96 << 20, 1);
    let mut after = before.clone();
    after[..4].copy_from_slice(b"head");
    let end = after.len() - 4;
    after[end..].copy_from_slice(b"tail");
    scene.move_in("large.bin", &before);
    let chunks = scene.branch.data().join("chunks.db");
    wait_for("the agent to read it", || {
        let size = chunks.metadata().ok()?.len();
        (size > 8 << 20).then_some(())
    });
    // The size stays: only times tell. The head has been read, the end not.
    let mut file = OpenOptions::new()
        .write(true)
        .open(scene.path("large.bin"))
        .unwrap();
    file.write_all(b"head").unwrap();
    file.seek(SeekFrom::End(-4)).unwrap();
    file.write_all(b"tail").unwrap();
    drop(file);
    wait_for("the new content", || {
        scene
            .filed()
            .into_iter()
            .find(|file| file.root == root_of(&after))
    });
    // Where reading was faster than this test, what was filed first is the whole of what was before.
    for file in scene.filed() {
        assert!(
            [root_of(&before), root_of(&after)].contains(&file.root),
            "a mixture was filed"
        );
    }
}

#[test]
fn new_content_under_the_same_name_is_filed_anew() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.branch.start();
    scene.write("state.txt", "one");
    scene.wait_filed("state.txt");
    scene.write("state.txt", "two");
    let second = wait_for("the new content", || {
        scene
            .filed()
            .into_iter()
            .find(|file| file.root == root_of("two"))
    });
    let first = scene.filed().remove(0);
    assert_eq!(first.root, root_of("one"));
    assert_ne!(first.ticket.number, second.ticket.number);
    assert_eq!(scene.filed().len(), 2);
}
