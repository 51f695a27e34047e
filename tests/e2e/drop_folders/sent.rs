//! `move_to_sent`: the source stays until central has the file, and nothing is replaced.

use harness::processes::wait_for;

use super::{Scene, is_there, noise, root_of};

/// What central may say of a file that it has whole.
const HERE: [&str; 4] = ["received", "scanning", "held", "clean"];

#[test]
fn a_file_is_moved_once_central_has_it_and_replaces_nothing() {
    let mut scene = Scene::new("settle_seconds = 1\nmove_to_sent = true");
    std::fs::create_dir(scene.path("sent")).unwrap();
    scene.write("sent/a.pdf", "sent long ago");
    scene.branch.start();
    let content = noise(400_000, 11);
    scene.write("a.pdf", &content);
    let file = scene.wait_filed("a.pdf");
    scene.look_past("b.pdf");
    // Central is away: the branch's only other copy stays where it is.
    assert!(is_there(&scene.path("a.pdf")) && !is_there(&scene.path("sent/a (2).pdf")));

    scene.central.start();
    wait_for("the file to be moved", || {
        (is_there(&scene.path("sent/a (2).pdf")) && is_there(&scene.path("sent/b.pdf")))
            .then_some(())
    });
    let at_central = scene.central.wait_file("a.pdf", &HERE);
    assert_eq!(at_central["size"], 400_000, "{at_central}");
    assert_eq!(file.root, root_of(&content));
    assert_eq!(
        std::fs::read(scene.path("sent/a (2).pdf")).unwrap(),
        content
    );
    assert_eq!(
        std::fs::read(scene.path("sent/a.pdf")).unwrap(),
        b"sent long ago"
    );
    assert!(!is_there(&scene.path("a.pdf")));

    scene.branch.kill();
    scene.branch.start();
    scene.write("c.pdf", "last");
    wait_for("the last to be moved", || {
        is_there(&scene.path("sent/c.pdf")).then_some(())
    });
    assert_eq!(scene.names_filed(), ["a.pdf", "b.pdf", "c.pdf"]);
    scene.central.assert_equal(&scene.branch);
}

#[test]
fn three_hundred_files_arrive_once_though_the_agent_is_killed_on_the_way() {
    let mut scene = Scene::new("settle_seconds = 1\nticket_per = \"burst\"");
    scene.central.start();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut expected: Vec<String> = (0..300).map(|n| format!("{n:04}.txt")).collect();
    for (n, name) in expected.iter().enumerate() {
        scene.write(name, noise(rng.usize(1..3_000), n as u64));
    }
    for round in 1..=4 {
        scene.branch.start();
        let enough = rng.usize(1..70) * round;
        wait_for("some files", || {
            (scene.filed().len() >= enough).then_some(())
        });
        scene.branch.kill();
    }
    scene.branch.start();
    let mut filed = 0;
    while filed < expected.len() {
        filed = wait_for("more files", || {
            let now = scene.filed().len();
            (now > filed).then_some(now)
        });
    }
    scene.look_past("9999.txt");
    expected.push("9999.txt".to_owned());
    let mut names = scene.names_filed();
    names.sort();
    assert_eq!(names, expected);
    scene.central.wait_file("9999.txt", &HERE);
    wait_for("all files at central", || {
        let mut here: Vec<String> = scene.central.files().iter().filter_map(name_of).collect();
        here.sort();
        (here == expected).then_some(())
    });
    scene.central.assert_equal(&scene.branch);
}

fn name_of(file: &serde_json::Value) -> Option<String> {
    let state = file["state"].as_str()?;
    let name = file["name"].as_str()?;
    HERE.contains(&state).then(|| name.to_owned())
}
