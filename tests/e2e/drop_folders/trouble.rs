//! What cannot be taken, watched or followed: said, tried again, and in nobody's way (P6, P8, P9).

use branchline_agent_api::{DropFolderState, DropFolderStatus};
use branchline_protocol::file::FileFault;
use harness::processes::{Branch, succeeded, wait_until};

use super::{Scene, is_there, noise, root_of};

async fn wait_status(
    branch: &Branch,
    what: &str,
    condition: impl Fn(&DropFolderStatus) -> bool,
) -> DropFolderStatus {
    let condition = &condition;
    wait_until(what, || async move {
        let folder = branch.status().await.drop_folders.remove(0);
        condition(&folder).then_some(folder)
    })
    .await
}

fn is_root() -> bool {
    let said = std::process::Command::new("id").arg("-u").output().unwrap();
    said.stdout == b"0\n"
}

#[tokio::test]
async fn an_unreadable_file_is_said_tried_again_and_holds_up_no_other() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = Scene::new("settle_seconds = 1");
    if is_root() {
        // Root may read everything, unless that right is taken away.
        let less = "--bounding-set=-dac_override,-dac_read_search";
        scene.branch.set_wrapper(&["setpriv", less]);
    }
    scene.branch.start();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    scene.write("locked.doc", "locked");
    std::fs::set_permissions(scene.path("locked.doc"), mode(0o000)).unwrap();
    scene.look_past("b.doc");
    let status = wait_status(&scene.branch, "the trouble", |one| !one.troubles.is_empty()).await;
    let trouble = &status.troubles[0];
    assert_eq!(
        (trouble.name.as_str(), trouble.fault),
        ("locked.doc", FileFault::Unreadable)
    );
    assert_eq!(status.waiting, 1);
    let said = succeeded(&scene.branch.cli(&["status"]));
    assert!(said.contains(FileFault::Unreadable.advice()), "{said}");
    scene.look_past("c.doc");

    std::fs::set_permissions(scene.path("locked.doc"), mode(0o600)).unwrap();
    assert_eq!(scene.wait_filed("locked.doc").root, root_of("locked"));
    wait_status(&scene.branch, "the trouble to pass", |one| {
        one.troubles.is_empty()
    })
    .await;
    assert_eq!(scene.names_filed(), ["b.doc", "c.doc", "locked.doc"]);
}

#[tokio::test]
async fn links_and_pipes_are_not_followed_and_that_is_said() {
    let mut scene = Scene::new("settle_seconds = 1");
    let secret = scene.beside("secret", "not in the folder");
    std::os::unix::fs::symlink(&secret, scene.path("link.pdf")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(scene.path("pipe.pdf"))
        .status();
    assert!(made.unwrap().success());
    scene.branch.start();
    scene.look_past("a.pdf");
    assert_eq!(scene.names_filed(), ["a.pdf"]);
    let status = wait_status(&scene.branch, "word of it", |one| one.last_error.is_some()).await;
    let words = status.last_error.unwrap().words;
    assert!(
        words.contains("symbolic link") || words.contains("not a file"),
        "{words}"
    );
    let log = scene.branch.log();
    assert_eq!(log.matches("is a symbolic link").count(), 1, "{log}");
    assert!(is_there(&scene.path("link.pdf")));
}

#[tokio::test]
async fn without_watches_the_folder_is_polled_and_that_is_said() {
    // By the agent's own word, and by a kernel that has none to give.
    let no_watches = "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        no_watches,
        "sh",
    ];
    let tried = std::process::Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg("true")
        .status();
    let can_unshare = tried.is_ok_and(|status| status.success());
    for by_kernel in [false, true] {
        let mut scene = Scene::new("settle_seconds = 1");
        if by_kernel && !can_unshare {
            println!("no user namespaces here: the kernel's own limit is not tried");
            continue;
        }
        if by_kernel {
            scene.branch.set_wrapper(&wrapper);
        } else {
            scene.branch.set_environment("BRANCHLINE_NO_WATCHES", "1");
        }
        scene.branch.start();
        let polls = |one: &DropFolderStatus| one.state == DropFolderState::Polling;
        let status = wait_status(&scene.branch, "polling", polls).await;
        assert!(
            status.words.unwrap().contains("limit of watches"),
            "by kernel: {by_kernel}"
        );
        assert!(
            scene
                .branch
                .log()
                .contains("not watched but looked at every few seconds")
        );
        scene.look_past("a.pdf");
        scene.look_past("b.pdf");
        assert_eq!(scene.names_filed(), ["a.pdf", "b.pdf"]);
    }
}

#[tokio::test]
async fn where_files_have_no_room_the_source_waits_and_small_ones_go_on() {
    let mut scene = Scene::new("");
    let rule = "settle_seconds = 1";
    scene.configure("[files]\nquota_mib = 2\nreserve_mib = 1", rule);
    scene.branch.start();
    let large = noise(4 << 20, 3);
    scene.write("large.bin", &large);
    let status = wait_status(&scene.branch, "the trouble", |one| !one.troubles.is_empty()).await;
    assert_eq!(
        status.troubles[0].fault,
        FileFault::BranchQuota,
        "{status:?}"
    );
    scene.look_past("small.txt");
    assert_eq!(scene.names_filed(), ["small.txt"]);
    // Tickets of people are filed all the same (P9).
    let client = scene.branch.client();
    client
        .file_ticket(&harness::processes::ticket("Till 3 is down"))
        .await
        .unwrap();

    scene.branch.stop();
    scene.configure("[files]\nquota_mib = 64\nreserve_mib = 1", rule);
    scene.branch.start();
    let filed = harness::processes::wait_for("large.bin to be filed", || {
        let journal = scene.branch.journal();
        super::filed::attached(&journal)
            .into_iter()
            .find(|file| file.name == "large.bin")
    });
    assert_eq!(filed.root, root_of(&large));
}

#[tokio::test]
async fn a_link_into_the_agents_own_data_is_no_drop_folder() {
    let mut scene = Scene::new("");
    let link = scene.sandbox.path().join("link");
    std::os::unix::fs::symlink(scene.branch.data(), &link).unwrap();
    scene.folder = link;
    scene.configure("", "settle_seconds = 1");
    scene.branch.start();
    let trouble = |one: &DropFolderStatus| one.state == DropFolderState::Trouble;
    let status = wait_status(&scene.branch, "the refusal", trouble).await;
    assert!(status.words.unwrap().contains("own data or settings"));
    assert!(scene.filed().is_empty());
}
