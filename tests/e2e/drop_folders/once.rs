//! P2 for drop folders: found whenever it comes, filed once, through restarts, kills and folders that
//! come and go.

use branchline_agent_api::DropFolderState;
use harness::processes::{wait_for, wait_until};

use super::{Scene, noise, root_of};

#[test]
fn files_that_arrived_while_the_agent_was_down_are_found_at_start() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.write("a.pdf", "before the first start");
    scene.branch.start();
    scene.wait_filed("a.pdf");
    scene.branch.stop();
    scene.write("b.pdf", "while it was down");
    scene.branch.start();
    assert_eq!(scene.wait_filed("b.pdf").root, root_of("while it was down"));
    assert_eq!(scene.names_filed(), ["a.pdf", "b.pdf"]);
}

#[test]
fn the_same_content_is_not_filed_twice() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.write("a.pdf", "content");
    scene.branch.start();
    scene.wait_filed("a.pdf");

    // Kills and restarts.
    for name in ["b.pdf", "c.pdf"] {
        scene.branch.kill();
        scene.branch.start();
        scene.look_past(name);
    }
    // New times, other rights, another name, back again, and the same file saved over it.
    std::fs::File::options()
        .write(true)
        .open(scene.path("a.pdf"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    scene.look_past("d.pdf");
    std::fs::rename(scene.path("a.pdf"), scene.path("a2.pdf")).unwrap();
    scene.look_past("e.pdf");
    std::fs::rename(scene.path("a2.pdf"), scene.path("a.pdf")).unwrap();
    scene.look_past("f.pdf");
    scene.move_in("a.pdf", "content");
    scene.look_past("g.pdf");
    scene.branch.stop();
    scene.branch.start();
    scene.look_past("h.pdf");
    let names = scene.names_filed();
    let expected = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| format!("{name}.pdf"));
    assert_eq!(names, expected);
}

#[test]
fn a_kill_at_each_point_of_the_way_loses_and_doubles_nothing() {
    for point in [
        "dropped-begun",
        "dropped-read",
        "dropped-taken-in",
        "dropped-whole",
        "dropped-written",
        "dropped-filed",
    ] {
        let mut scene = Scene::new("settle_seconds = 1");
        let marker = scene.sandbox.path().join("marker");
        let hold = format!("{point}={}", marker.display());
        scene.branch.set_environment("BRANCHLINE_HOLD_AT", &hold);
        scene.branch.start();
        let content = noise(300_000, 7);
        scene.move_in("a.pdf", &content);
        wait_for(point, || marker.exists().then_some(()));
        scene.branch.kill();
        let before = scene.filed();
        assert_eq!(
            before.len(),
            usize::from(point == "dropped-filed"),
            "{point}"
        );

        scene.branch.clear_environment();
        scene.branch.start();
        let file = scene.wait_filed("a.pdf");
        scene.look_past("b.pdf");
        let names = scene.names_filed();
        assert_eq!(names, ["a.pdf", "b.pdf"], "{point}");
        assert_eq!(file.root, root_of(&content), "{point}");
        if let Some(before) = before.first() {
            assert_eq!(before.id, file.id, "{point}");
        }
    }
}

#[tokio::test]
async fn a_journal_from_an_old_image_asks_for_the_same_operation_again() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.branch.start();
    scene.look_past("old.pdf");
    scene.branch.stop();
    let image = scene.sandbox.path().join("image");
    let copied = std::process::Command::new("cp")
        .args([
            "-a".as_ref(),
            scene.branch.data().as_os_str(),
            image.as_os_str(),
        ])
        .status();
    assert!(copied.unwrap().success());
    scene.branch.start();
    scene.write("a.pdf", "content");
    let first = scene.wait_filed("a.pdf");
    scene.branch.stop();
    std::fs::remove_dir_all(scene.branch.data()).unwrap();
    std::fs::rename(&image, scene.branch.data()).unwrap();
    assert_eq!(scene.names_filed(), ["old.pdf"]);
    scene.branch.start();
    let second = scene.wait_filed("a.pdf");
    assert_eq!(first.id, second.id);
    assert_eq!(scene.names_filed(), ["old.pdf", "a.pdf"]);
}

#[tokio::test]
async fn a_folder_that_vanishes_and_returns_is_used_again_and_files_nothing_twice() {
    let mut scene = Scene::new("settle_seconds = 1");
    scene.branch.start();
    scene.look_past("a.pdf");
    let away = scene.sandbox.path().join("away");
    let state = |wanted: DropFolderState| {
        let branch = &scene.branch;
        wait_until("the status to tell of the folder", move || async move {
            let status = branch.status().await;
            (status.drop_folders[0].state == wanted).then_some(())
        })
    };
    std::fs::rename(&scene.folder, &away).unwrap();
    state(DropFolderState::Missing).await;
    // Another folder in its place, and then its own again.
    std::fs::create_dir(&scene.folder).unwrap();
    state(DropFolderState::Watching).await;
    scene.look_past("b.pdf");
    std::fs::remove_dir_all(&scene.folder).unwrap();
    state(DropFolderState::Missing).await;
    std::fs::rename(&away, &scene.folder).unwrap();
    state(DropFolderState::Watching).await;
    scene.look_past("c.pdf");
    assert_eq!(scene.names_filed(), ["a.pdf", "b.pdf", "c.pdf"]);
}
