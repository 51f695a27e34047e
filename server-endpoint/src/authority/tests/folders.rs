//! The folder: made whole or made again, and not used where others could read it.

use super::*;
use crate::authority::folder;

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn what_is_there_is_left_as_it_is() {
    let world = World::new();
    let before = files(&world.path());
    let again = Authority::init(&world.path(), &["other.example.org".to_owned()], now()).unwrap();
    assert!(!again.made);
    assert_eq!(again.root, world.authority.anchor());
    assert_eq!(again.names[0], "central.example.org");
    assert_eq!(files(&world.path()), before);
}

#[test]
fn everything_is_for_the_owner_alone() {
    let world = World::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.path()), 0o700);
    let names: Vec<String> = files(&world.path())
        .into_iter()
        .map(|file| file.0)
        .collect();
    let expected = [
        "authority.json",
        "issuing-1.key",
        "issuing-1.pem",
        "root-1.key",
        "root-1.pem",
        "server.pem",
    ];
    assert_eq!(names, expected);
    for name in names {
        assert_eq!(mode(&world.path().join(&name)), 0o600, "{name}");
    }
}

#[test]
fn an_init_that_was_interrupted_anywhere_is_repeated() {
    let whole = World::new();
    let all = files(&whole.path());
    // In the order in which they are made; authority.json comes last.
    let order = [
        "root-1.key",
        "root-1.pem",
        "issuing-1.key",
        "issuing-1.pem",
        "server.pem",
    ];
    for done in 0..=order.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FOLDER);
        folder::make(&path).unwrap();
        for name in &order[..done] {
            let content = &all.iter().find(|file| file.0 == *name).unwrap().1;
            folder::write(&path.join(name), content).unwrap();
        }
        std::fs::write(path.join("root-1.key.new"), "half of").unwrap();
        assert!(
            matches!(open(&path), Err(AuthorityError::Missing(_))),
            "{done}"
        );
        let made = Authority::init(&path, &["central".to_owned()], now()).unwrap();
        assert!(made.made, "{done}");
        let authority = open(&path).unwrap();
        assert_eq!(authority.anchor(), made.root, "{done}");
        // A root that was there is the root from then on.
        assert_eq!(made.root == whole.authority.anchor(), done >= 2, "{done}");
    }
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    for name in ["issuing-1.key", "server.pem"] {
        let world = World::new();
        let path = world.path().join(name);
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let fault = open(&world.path()).err().unwrap();
            assert!(matches!(fault, AuthorityError::TooOpen { .. }), "{fault}");
            assert_eq!(fault.class(), ErrorClass::CallIt);
            assert!(fault.to_string().contains(name), "{fault}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
        assert!(open(&world.path()).is_ok());
    }
}

#[test]
fn files_that_make_no_sense_are_named() {
    for name in [
        "authority.json",
        "issuing-1.key",
        "issuing-1.pem",
        "server.pem",
    ] {
        let world = World::new();
        let path = world.path().join(name);
        std::fs::write(&path, "nonsense").unwrap();
        let fault = open(&world.path()).err().unwrap();
        assert!(fault.to_string().contains(name), "{fault}");
        std::fs::write(&path, vec![b'x'; 300_000]).unwrap();
        let fault = open(&world.path()).err().unwrap();
        assert!(fault.to_string().contains(name), "{fault}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let fault = open(nowhere.path()).err().unwrap();
    assert!(
        fault.to_string().contains("branchline-server init"),
        "{fault}"
    );
    assert_eq!(fault.class(), ErrorClass::FixInput);
}

#[test]
fn serving_does_without_the_root_key() {
    let world = World::new();
    std::fs::remove_file(world.path().join("root-1.key")).unwrap();
    open(&world.path()).unwrap();
    assert!(!Authority::init(&world.path(), &[], now()).unwrap().made);
}

#[test]
fn a_name_that_no_host_has_is_refused_before_anything_is_made() {
    for bad in ["", "two words", "https://central", "central:8470", "ü"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FOLDER);
        let fault = Authority::init(&path, &[bad.to_owned()], now())
            .err()
            .unwrap();
        assert!(matches!(fault, AuthorityError::Name(_)), "{bad}: {fault}");
        assert!(!path.exists(), "{bad}");
    }
}
