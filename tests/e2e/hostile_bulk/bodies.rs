//! Bodies of chunks that are cut, bent, bombs, nobody's, too long or slow.

use std::time::Duration;

use branchline_protocol::frame::{Encoding, HEADER_BYTES, MAGIC};
use branchline_protocol::limits;
use branchline_protocol::manifest::ChunkRef;
use harness::raw_http::{Connection, chunked};
use serde_json::{Value, json};

use super::*;
use crate::hostile_ingress::{assert_problem, peak_memory, zstd_zeros};

/// Files of one small chunk each, announced.
fn small_files(agent: &mut Agent, name: &str, sizes: &[usize]) -> Vec<Attached> {
    let files: Vec<Attached> = sizes
        .iter()
        .map(|size| attach(agent, name, vec![noise(*size)]))
        .collect();
    let sections: Vec<Value> = files.iter().map(Attached::section).collect();
    for standing in announce(agent, &sections) {
        assert_eq!(standing["standing"], "wanted", "{standing}");
    }
    files
}

fn body_of(files: &[Attached]) -> Vec<u8> {
    let frames = files.iter().flat_map(Attached::frames);
    MAGIC.iter().copied().chain(frames).collect()
}

#[test]
fn a_body_cut_at_any_byte_costs_at_most_the_frame_that_it_was_cut_in() {
    let mut target = Target::start();
    let files = small_files(&mut target.evil, "good.cut", &[30, 1, 17]);
    let body = body_of(&files);
    let boundaries: Vec<usize> = files
        .iter()
        .scan(MAGIC.len(), |end, file| {
            *end += HEADER_BYTES + file.size();
            Some(*end)
        })
        .collect();
    for at in 0..body.len() {
        // The connection breaks: nobody is told anything.
        let mut connection = Connection::open(&target.evil.place).expect("connect");
        let request =
            chunks_request(&target.evil).header("Content-Length", &body.len().to_string());
        let bytes = [request.to_bytes(), body[..at].to_vec()].concat();
        connection.send(&bytes).expect("send");
        drop(connection);
        // The body is whole and its last frame is not.
        let answer = send(&target.evil, &body[..at]);
        let whole = at == MAGIC.len() || boundaries.contains(&at);
        if whole {
            assert_eq!(answer.status, 200, "cut at {at}: {}", answer.text());
            let frames = boundaries.iter().filter(|end| **end <= at).count();
            assert_eq!(answer.json()["frames"], frames, "cut at {at}");
        } else {
            assert_problem(&answer, 400, "malformed", &format!("cut at {at}"));
        }
    }
    for file in &files {
        assert_taken(&target.evil, file, "cuts");
    }
    assert_unharmed(&mut target, "cuts");
    assert_sound(&target);
}

#[test]
fn any_byte_that_is_bent_on_the_way_is_found_and_the_frames_beside_it_are_taken() {
    let mut target = Target::start();
    let chunks = [noise(40), noise(25)];
    let first = MAGIC.len() + HEADER_BYTES + chunks[0].len();
    for at in 0..first {
        // Other files each time: what is held already would not be looked at.
        let files: Vec<Attached> = chunks
            .iter()
            .map(|chunk| {
                let mut chunk = chunk.clone();
                chunk[..8].copy_from_slice(&(at as u64).to_le_bytes());
                attach(&mut target.evil, "good.bent", vec![chunk])
            })
            .collect();
        let sections: Vec<Value> = files.iter().map(Attached::section).collect();
        announce(&target.evil, &sections);
        let mut body = body_of(&files);
        body[at] ^= 1 << fastrand::u8(..8);
        let answer = send(&target.evil, body);
        let standing = announce(&target.evil, &sections);
        assert_eq!(
            standing[0]["standing"],
            "wanted",
            "bent at {at}: {}",
            answer.text()
        );
        // A header that is still possible names another chunk or another length.
        if answer.status == 200 {
            let reply = answer.json();
            assert_eq!(reply["exceptions"][0]["frame"], 0, "bent at {at}: {reply}");
        } else {
            assert_problem(&answer, 400, "malformed", &format!("bent at {at}"));
        }
        if at >= MAGIC.len() + HEADER_BYTES {
            assert_eq!(answer.json()["exceptions"][0]["fault"], "corrupt");
            assert_eq!(standing[1]["standing"], "received", "the frame behind {at}");
        }
        for file in &files {
            assert_taken(&target.evil, file, "bent");
        }
    }
    assert_unharmed(&mut target, "bent bytes");
    assert_sound(&target);
}

#[test]
fn frames_that_are_false_or_nobodys_are_named_and_never_kept() {
    let mut target = Target::start();
    let text = b"08:00:01 till 3: paper low\n".repeat(40);
    let files = [
        attach(&mut target.evil, "good.text", vec![text.clone()]),
        attach(&mut target.evil, "good.other", vec![noise(64)]),
    ];
    let sections: Vec<Value> = files.iter().map(Attached::section).collect();
    announce(&target.evil, &sections);
    let named = ChunkRef::of(&text);
    let packed = zstd::bulk::compress(&text, 3).expect("pack");
    let shorter = zstd::bulk::compress(&text[1..], 3).expect("pack");
    let longer = zstd::bulk::compress(&[&text[..], b"x"].concat(), 3).expect("pack");
    let other = zstd::bulk::compress(&vec![b'x'; text.len()], 3).expect("pack");
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 1;
    let stored = |bytes: &[u8]| framed(named, Encoding::Zstd, bytes);
    let good = files[1].frames();
    let attacks: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "other bytes",
            framed(named, Encoding::Plain, &vec![b'x'; text.len()]),
            "corrupt",
        ),
        ("no zstd", stored(b"this is no zstd"), "corrupt"),
        ("less than it says", stored(&shorter), "corrupt"),
        ("more than it says", stored(&longer), "corrupt"),
        ("other bytes in zstd", stored(&other), "corrupt"),
        ("zstd with a bit flipped", stored(&flipped), "corrupt"),
        (
            "zstd that is cut",
            stored(&packed[..packed.len() - 3]),
            "corrupt",
        ),
        (
            "a chunk of nobody's",
            frame(b"nobody announced this"),
            "not_announced",
        ),
        (
            "a chunk with another size",
            framed(ChunkRef(named.hash(), 5), Encoding::Plain, b"08:00"),
            "not_announced",
        ),
    ];
    for (attack, bad, fault) in attacks {
        let reply = sent(
            &target.evil,
            [&MAGIC[..], &bad, &good, &bad].concat(),
            attack,
        );
        assert_eq!(reply["frames"], 3, "{attack}: {reply}");
        let exceptions = reply["exceptions"].as_array().expect("exceptions");
        let told: Vec<_> = exceptions
            .iter()
            .map(|exception| (exception["frame"].as_u64(), exception["fault"].as_str()))
            .collect();
        assert_eq!(
            told,
            [(Some(0), Some(fault)), (Some(2), Some(fault))],
            "{attack}"
        );
        let standing = announce(&target.evil, &sections);
        assert_eq!(
            standing[0]["missing"],
            json!([[0, 1]]),
            "{attack}: {standing:?}"
        );
        assert_eq!(
            standing[1]["standing"], "received",
            "{attack}: {standing:?}"
        );
    }
    let reply = sent(
        &target.evil,
        [&MAGIC[..], &stored(&packed)].concat(),
        "the truth in zstd",
    );
    assert_eq!(reply["received"], json!([files[0].id]), "{reply}");
    assert_unharmed(&mut target, "false frames");
    assert_sound(&target);
}

#[test]
fn bombs_in_frames_cost_no_more_than_a_chunk() {
    let mut target = Target::start();
    let chunk = noise(limits::CHUNK_MOST_BYTES as usize);
    let file = attach(&mut target.evil, "good.bombed", vec![chunk]);
    announce(&target.evil, &[file.section()]);
    let named = ChunkRef::of(&file.chunks[0]);
    let gibibytes = zstd_zeros(6 << 30, 17);
    let bomb = framed(named, Encoding::Zstd, &gibibytes);
    let window = framed(named, Encoding::Zstd, &zstd_zeros(1 << 20, 31));
    let many = |bomb: &[u8], count: usize| [&MAGIC[..], &bomb.repeat(count)].concat();
    for (attack, body, frames) in [
        ("six gibibytes", many(&bomb, 1), 1),
        ("as many bombs as fit", many(&bomb, 40), 40),
        ("windows of 2 GiB", many(&window, 2_048), 2_048),
    ] {
        let reply = sent(&target.evil, body, attack);
        assert_eq!(reply["frames"], frames, "{attack}");
        let exceptions = reply["exceptions"].as_array().expect("exceptions");
        assert_eq!(exceptions.len(), frames, "{attack}");
        assert!(exceptions.iter().all(|one| one["fault"] == "corrupt"));
        target.assert_unharmed(attack);
    }
    let peak = peak_memory(target.central.pid());
    println!("central took {peak} bytes at most");
    assert!(peak < 192 << 20, "central took {peak} bytes");
    assert_taken(&target.evil, &file, "bombs");
    assert_unharmed(&mut target, "bombs");
    assert_sound(&target);
}

#[test]
fn bodies_beyond_a_bound_or_of_another_kind_are_refused_as_such() {
    let mut target = Target::start();
    let file = attach(&mut target.evil, "good.late", vec![noise(9)]);
    announce(&target.evil, &[file.section()]);
    let good = file.body();
    let evil = &target.evil;
    let kind = |kind: &str| {
        let request = evil.request("POST", CHUNKS);
        evil.ask(&request.header("Content-Type", kind).body(good.clone()))
    };
    for other in ["application/json", "text/plain", "application/octet-stream"] {
        assert_problem(&kind(other), 415, "unsupported-media", other);
    }
    for coding in ["zstd", "gzip", "br"] {
        let request = chunks_request(evil).header("Content-Encoding", coding);
        let answer = evil.ask(&request.body(good.clone()));
        assert_problem(&answer, 415, "unsupported-media", coding);
    }
    let too_many = [
        &MAGIC[..],
        &frame(b"x").repeat(limits::CHUNK_BODY_FRAMES + 1),
    ]
    .concat();
    let too_long = vec![0; limits::CHUNK_BODY_BYTES + 1];
    let coded = |body: &[u8]| {
        let request = chunks_request(evil).header("Transfer-Encoding", "chunked");
        evil.ask(&request.body(chunked(body, 50_000)))
    };
    let long = frame(&vec![0; limits::CHUNK_MOST_BYTES as usize]).repeat(40);
    let long = [&MAGIC[..], &long].concat();
    for (attack, answer) in [
        ("a frame too many", send(evil, too_many.clone())),
        ("a frame too many, in pieces", coded(&too_many)),
        ("a byte too many", send(evil, too_long)),
        ("megabytes too many, in pieces", coded(&long)),
        (
            "a claim",
            evil.ask(&chunks_request(evil).header("Content-Length", "9000000000")),
        ),
    ] {
        assert_problem(&answer, 413, "too-large", attack);
    }
    for (attack, body) in [
        ("nothing", Vec::new()),
        ("JSON", b"{\"frames\":[]}".to_vec()),
        ("another beginning", [b"BLchunk2", &good[8..]].concat()),
        ("bytes behind", [&good[..], b"\0"].concat()),
    ] {
        assert_problem(&send(evil, body), 400, "malformed", attack);
    }
    let bare = harness::raw_http::Request::new("POST", CHUNKS)
        .header("Branchline-Protocol", "1")
        .header("Content-Type", MEDIA_TYPE)
        .body(good.clone());
    let nobody = bare.ask(&evil.nobodys_place()).expect("central answers");
    assert_problem(&nobody, 401, "unauthenticated", "nobody");
    assert_eq!(coded(&good).status, 200, "in pieces is as good as whole");
    assert_taken(&target.evil, &file, "bounds");
    assert_unharmed(&mut target, "bounds of bodies");
    assert_sound(&target);
}

/// Slow, silent and departed senders of chunks are let go, and tickets are taken all the while (P7).
#[test]
fn slow_bodies_are_let_go_and_delay_no_ticket() {
    let mut target = Target::start();
    let file = attach(&mut target.evil, "good.slow", vec![noise(200_000)]);
    announce(&target.evil, &[file.section()]);
    let length = file.body().len().to_string();
    let request = chunks_request(&target.evil).header("Content-Length", &length);
    let begun = [request.to_bytes(), file.body()[..100_000].to_vec()].concat();
    let place = target.evil.place.clone();
    let open = || {
        let mut connection = Connection::open(&place).expect("connect");
        let _ = connection.send(&begun);
        connection
    };
    let stalled: Vec<Connection> = (0..40).map(|_| open()).collect();
    let mut trickling = open();
    let trickle = std::thread::spawn(move || {
        // A byte now and then is no progress.
        while trickling.send(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    while !trickle.is_finished() {
        target.assert_unharmed("slow bodies");
    }
    for mut connection in stalled {
        // Turned away at once, or let go later; or closed without a word.
        if let Ok(answer) = connection.answer() {
            assert!([408, 503].contains(&answer.status), "{}", answer.text());
            answer.problem();
        }
    }
    assert_taken(&target.evil, &file, "slow bodies");
    assert_unharmed(&mut target, "slow bodies that are gone");
    assert_sound(&target);
}
