//! Manifests that lie about size, overlap or count, of nobody's or another's file, or without end.

use std::sync::Arc;

use branchline_protocol::limits;
use branchline_protocol::manifest::ChunkRef;
use serde_json::{Value, json};

use super::*;
use crate::hostile_ingress::{assert_problem, peak_memory, zstd_zeros};

const MOST: usize = limits::CHUNK_MOST_BYTES as usize;

#[test]
fn manifests_that_lie_are_refused_by_name_and_the_truth_is_taken_after_them() {
    let mut target = Target::start();
    let chunks = vec![noise(20_000), noise(16_384), noise(100)];
    let file = attach(&mut target.evil, "good.lied-about", chunks);
    let size = file.size();
    let refs: Vec<ChunkRef> = file
        .chunks
        .iter()
        .map(|chunk| ChunkRef::of(chunk))
        .collect();
    let resized = |place: usize, size: u32| {
        let mut refs = refs.clone();
        refs[place].1 = size;
        json!(refs)
    };
    let zeros = "0".repeat(64);
    #[rustfmt::skip]
    let lies: Vec<(&str, Value, &str)> = vec![
        ("another size", json!({ "size": size + 1 }), "other_file"),
        ("the largest size", json!({ "size": u64::MAX }), "other_file"),
        ("another root", json!({ "root": zeros }), "other_file"),
        ("no chunks at all", json!({ "count": 0 }), "count"),
        ("more chunks than it can have", json!({ "count": 4 }), "count"),
        ("the largest count", json!({ "count": u32::MAX }), "count"),
        ("a chunk beyond the count", json!({ "count": 2 }), "overlap"),
        ("a chunk of no bytes", json!({ "chunks": resized(0, 0) }), "chunk_size"),
        ("a small chunk in the middle", json!({ "chunks": resized(1, 16_383) }), "chunk_size"),
        ("the largest number as a chunk's size", json!({ "chunks": resized(0, u32::MAX) }), "chunk_size"),
        ("a byte more at the end", json!({ "chunks": resized(2, 101) }), "sum"),
        ("a byte less at the end", json!({ "chunks": resized(2, 99) }), "sum"),
        ("a byte more at the beginning", json!({ "chunks": resized(0, 20_001) }), "sum"),
        ("one chunk thrice", json!({ "chunks": [refs[0], refs[0], refs[0]] }), "sum"),
    ];
    for (lie, members, fault) in &lies {
        let standing = announce(&target.evil, &[file.section_with(members.clone())]).remove(0);
        assert_eq!(
            (&standing["standing"], &standing["fault"]),
            (&json!("refused"), &json!(fault)),
            "{lie}"
        );
    }
    // Nothing of it was kept: the file is as if it had never been announced.
    let asked = announce(&target.evil, &[file.section_with(json!({ "chunks": [] }))]).remove(0);
    assert_eq!(asked["announced"], 0, "{asked}");
    // Half of the truth, then another second half, a repeat that differs, and one from nowhere.
    let half = file.section_with(json!({ "chunks": refs[..1] }));
    assert_eq!(announce(&target.evil, &[half])[0]["announced"], 1);
    let mut others = refs.clone();
    others[0] = ChunkRef::of(&noise(20_000));
    for (lie, members, fault) in [
        ("another beginning", json!({ "chunks": others }), "overlap"),
        ("another count", json!({ "count": 2 }), "other_file"),
    ] {
        let standing = announce(&target.evil, &[file.section_with(members)]).remove(0);
        assert_eq!(standing["fault"], fault, "{lie}: {standing}");
    }
    let gap = file.section_with(json!({ "from": 2, "chunks": refs[2..] }));
    let standing = announce(&target.evil, &[gap]).remove(0);
    assert_eq!(
        (&standing["standing"], &standing["announced"]),
        (&json!("wanted"), &json!(1)),
        "a gap"
    );
    assert_taken(&target.evil, &file, "lies");
    assert_unharmed(&mut target, "lies");
    assert_sound(&target);
}

#[test]
fn a_manifest_whose_chunks_are_not_the_file_is_found_out_by_its_root() {
    let mut target = Target::start();
    let chunks = vec![noise(30_000), noise(500)];
    let root = blake3::hash(b"something else").to_hex().to_string();
    let file = attach_as(&mut target.evil, "false.root", 30_500, root, chunks);
    assert_taken(&target.evil, &file, "a false root");
    wait_for("the lie to be found", || {
        let found = target.central.file("false.root")?;
        (found["state"] == "corrupt").then_some(())
    });
    assert_unharmed(&mut target, "a false root");
    assert_sound(&target);
}

#[test]
fn other_agents_files_and_nobodys_are_the_same_to_whoever_asks() {
    let mut target = Target::start();
    let file = attach(&mut target.good, "good.mine", vec![noise(5_000)]);
    assert_eq!(
        announce(&target.good, &[file.section()])[0]["standing"],
        "wanted"
    );
    let nobodys = file.section_with(json!({ "file": "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f" }));
    let standings = announce(&target.evil, &[file.section(), nobodys]);
    for standing in &standings {
        assert_eq!(standing["standing"], "not_attached", "{standing}");
        assert_eq!(standing.as_object().map(serde_json::Map::len), Some(2));
    }
    // The chunk is wanted, but not from this agent: its bytes are not kept.
    let reply = sent(&target.evil, file.body(), "another's chunk");
    assert_eq!(reply["frames"], 1);
    assert_eq!(reply["exceptions"][0]["fault"], "not_announced", "{reply}");
    assert_eq!(reply["received"], json!([]));
    let standing = announce(&target.good, &[file.section()]).remove(0);
    assert_eq!(standing["missing"], json!([[0, 1]]), "{standing}");
    assert_taken(&target.good, &file, "another's interest");
    assert_unharmed(&mut target, "another's files");
    assert_sound(&target);
}

#[test]
fn files_of_absurd_sizes_are_refused_and_nothing_is_set_aside_for_them() {
    let mut target = Target::start();
    let zeros = "0".repeat(64);
    for (name, size) in [
        ("never.largest-number", u64::MAX),
        ("never.beyond-any", limits::FILE_BYTES + 1),
        ("never.largest", limits::FILE_BYTES),
    ] {
        let file = attach_as(&mut target.evil, name, size, zeros.clone(), Vec::new());
        let chunk = ChunkRef::of(&noise(MOST));
        for count in [1, 1 << 22, u32::MAX] {
            let section = json!({
                "file": file.id, "size": size, "root": zeros, "count": count, "from": 0, "chunks": [chunk],
            });
            let standing = announce(&target.evil, &[section]).remove(0);
            let refused = ["refused", "no_room"];
            assert!(
                refused.iter().any(|word| standing["standing"] == **word),
                "{name} in {count}: {standing}"
            );
        }
    }
    assert_unharmed(&mut target, "absurd sizes");
    assert_sound(&target);
    let peak = peak_memory(target.central.pid());
    assert!(peak < 192 << 20, "central took {peak} bytes");
}

#[test]
fn announcements_beyond_a_bound_and_bodies_that_are_none_are_refused_whole() {
    let mut target = Target::start();
    let file = attach(&mut target.evil, "never.announced", vec![noise(100)]);
    let section = file.section();
    let many_files = vec![section.clone(); limits::ANNOUNCED_FILES + 1];
    let many_chunks = vec![ChunkRef::of(b"x"); limits::SECTION_CHUNKS + 1];
    let too_many = [
        json!({ "files": many_files }),
        json!({ "files": [file.section_with(json!({ "chunks": many_chunks }))] }),
    ];
    for body in too_many {
        let answer = announce_raw(&target.evil, body.to_string());
        assert_problem(&answer, 413, "too-large", "one more");
    }
    let huge = format!("{{\"files\":[]{}}}", " ".repeat(limits::SUBMISSION_BYTES));
    let answer = announce_raw(&target.evil, huge);
    assert_problem(&answer, 413, "too-large", "a large body");
    let packed = |bytes: Vec<u8>| {
        let request = target.evil.request("POST", MANIFESTS);
        let request = request.header("Content-Encoding", "zstd").json(bytes);
        target.evil.ask(&request)
    };
    assert_problem(
        &packed(zstd_zeros(10 << 30, 23)),
        413,
        "too-large",
        "a bomb",
    );
    assert_problem(
        &packed(zstd_zeros(1 << 20, 31)),
        400,
        "malformed",
        "a window",
    );
    for broken in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"files":7}"#,
        r#"{"files":[7]}"#,
        r#"{"files":[{}]}"#,
    ] {
        let answer = announce_raw(&target.evil, broken);
        assert_problem(&answer, 400, "malformed", broken);
    }
    for (member, value) in [
        ("file", json!("x")),
        ("size", json!(-1)),
        ("root", json!("AA")),
        ("count", json!(4_294_967_296_u64)),
        ("from", json!(1.5)),
        ("chunks", json!([["00", 1]])),
        ("chunks", json!([[file.root, -1]])),
        ("chunks", json!([[file.root, 4_294_967_296_u64]])),
        ("chunks", json!([[file.root]])),
    ] {
        let section = file.section_with(json!({ member: value }));
        let answer = announce_raw(&target.evil, json!({ "files": [section] }).to_string());
        assert_problem(&answer, 400, "malformed", &format!("{member}: {value}"));
    }
    assert_unharmed(&mut target, "bounds of manifests");
    assert_sound(&target);
}

/// Two agents announce and bring the same chunks at once, many times over: each is received, and every
/// chunk has one place.
#[test]
fn the_same_chunks_from_two_agents_at_once_are_kept_once() {
    let mut target = Target::start();
    for round in 0..10 {
        let chunks = vec![noise(20_000), noise(40_000), noise(7)];
        let name = format!("good.round-{round}");
        let files = [
            attach(&mut target.good, &name, chunks.clone()),
            attach(&mut target.evil, &name, chunks),
        ];
        let agents = Arc::new([&target.good, &target.evil]);
        std::thread::scope(|scope| {
            for (agent, file) in agents.iter().zip(&files) {
                scope.spawn(move || {
                    let standing = announce(agent, &[file.section()]).remove(0);
                    if standing["standing"] == "wanted" {
                        let reply = sent(agent, file.body(), "a race");
                        assert_eq!(reply["exceptions"], json!([]), "{reply}");
                    }
                });
            }
        });
        for (agent, file) in agents.iter().zip(&files) {
            let standing = announce(agent, &[file.section()]).remove(0);
            assert_eq!(standing["standing"], "received", "{standing}");
        }
    }
    assert_unharmed(&mut target, "races");
    assert_sound(&target);
}
