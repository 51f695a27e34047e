//! Files that an employee brings by the system's own means, and takes away: picked, dropped, pasted, saved.

use std::path::Path;

use harness::processes::{succeeded, wait_for};

use super::{CONTROL, World, answer_with_a_file};

/// A place in the window's form.
const IN_THE_FORM: (u32, u32) = (500, 400);
/// What the form calls its files.
const FILES: &str = "return document.querySelector('.files').innerText";

#[tokio::test]
async fn desktop_files_are_picked_dropped_and_pasted_and_given_ones_are_saved() {
    let mut world = World::new();
    world.central.start();
    let window = world.open().await;
    let page = &window.session;
    page.until_text("Connected.").await;
    page.keys(&[CONTROL, "n"]).await;
    let subject = page.find("input[data-first]").await;
    page.type_into(&subject, "The scanner pulls in two sheets")
        .await;

    let picked = world.file("picked.pdf", b"%PDF-1.4\nwhat the scanner made\n");
    page.press("Add files …").await;
    world.screen.answer_picker("Add files", None);
    page.press("Add files …").await;
    world.screen.answer_picker("Add files", Some(&picked));
    page.until_text("picked.pdf").await;

    let dropped = [
        world.file("dropped one.txt", b"one"),
        world.file("dropped-2.txt", b"two"),
    ];
    let dropped = dropped.each_ref().map(|path| path.as_path());
    let dragged = world.screen.drag_over(&dropped, IN_THE_FORM);
    page.until_text("Let go to add these files").await;
    dragged.let_go();
    page.until_text("dropped one.txt").await;
    page.until_text("dropped-2.txt").await;

    let icon = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/desktop/48.png");
    let copied = world.screen.copy_picture(Path::new(icon));
    world.screen.press_at(IN_THE_FORM, "ctrl+v");
    page.until("the picture", &format!("{}.includes('Screenshot')", FILES))
        .await;
    drop(copied);
    page.press("Save ticket").await;
    page.until_text("Saved as LYN-000001.").await;
    // Where the agent took its time, a notice says so.
    page.press_one_of(&["Show this ticket", "Show"]).await;
    world.branch.wait_drained().await;
    let listed = world.central.files();
    let mut sizes: Vec<u64> = listed
        .iter()
        .filter_map(|file| file["size"].as_u64())
        .collect();
    sizes.sort_unstable();
    let of = |path: &Path| std::fs::metadata(path).expect("look at it").len();
    let mut expected = vec![3, 3, of(&picked), of(Path::new(icon))];
    expected.sort_unstable();
    assert_eq!(sizes, expected, "{listed:?}");

    let content = b"%PDF-1.4\nhow to clean\n";
    answer_with_a_file(&world.central, "cleaning.pdf", content);
    page.until_text("Save as …").await;
    let to = world.sandbox.path().join("mine.pdf");
    page.press("Save as …").await;
    world.screen.answer_picker("Save file as", None);
    page.press("Save as …").await;
    world.screen.answer_picker("Save file as", Some(&to));
    wait_for("the saved file", || {
        (std::fs::read(&to).ok()? == content).then_some(())
    });
    let shown = succeeded(&world.branch.cli(&["ticket", "show", "LYN-000001"]));
    assert!(shown.contains("picked.pdf"), "{shown}");
}
