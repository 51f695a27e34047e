//! How much and how slowly: bounds, bombs, what is not HTTP, and senders that stall.

use std::cell::Cell;
use std::time::{Duration, Instant};

use branchline_protocol::limits;
use harness::processes::{text, wait_for};
use harness::raw_http::{Connection, Place, chunked, is_end};

use super::{Agent, OPERATIONS, Target, VERSION, assert_problem, peak_memory, zstd_zeros};

#[test]
fn submissions_beyond_a_bound_are_refused_and_those_at_it_taken() {
    let mut target = Target::start();
    let most: Vec<&[u8]> = vec![b"0"; limits::SUBMISSION_OPERATIONS];
    let verdicts = target.evil.submit(&most, "as many as are allowed");
    assert_eq!(verdicts.len(), most.len());
    let more: Vec<&[u8]> = vec![b"0"; limits::SUBMISSION_OPERATIONS + 1];
    assert_problem(
        &target.evil.post(target.evil.body(&more)),
        413,
        "too-large",
        "one more",
    );
    let many: Vec<&[u8]> = vec![b"0"; 900_000];
    assert_problem(
        &target.evil.post(target.evil.body(&many)),
        413,
        "too-large",
        "very many",
    );

    let padding = |bytes: usize| vec![b' '; bytes];
    let whole = target.evil.body(&[]);
    let at_bound = [
        whole.clone(),
        padding(limits::SUBMISSION_BYTES - whole.len()),
    ]
    .concat();
    assert_eq!(target.evil.post(at_bound.clone()).status, 200);
    let beyond = [at_bound.as_slice(), b" "].concat();
    let post = || target.evil.request("POST", OPERATIONS);
    let coded = post().header("Transfer-Encoding", "chunked");
    let huge = padding(32 << 20);
    for (attack, request) in [
        ("one byte more", post().json(beyond.clone())),
        (
            "one byte more in chunks",
            coded.clone().json(chunked(&beyond, 60_000)),
        ),
        ("32 MiB", post().json(huge.clone())),
        ("32 MiB in chunks", coded.json(chunked(&huge, 1 << 20))),
        (
            "a claim",
            post().header("Content-Length", "9000000000").json(""),
        ),
    ] {
        assert_problem(&target.evil.ask(&request), 413, "too-large", attack);
        target.good.assert_served(attack);
    }
    target.assert_unharmed("bounds");
}

#[test]
fn bombs_and_broken_packing_are_refused_in_bounded_memory() {
    let mut target = Target::start();
    let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).expect("pack");
    let whole = target.evil.body(&[]);
    let packed = pack(&whole);
    let flipped: Vec<u8> = packed.iter().rev().copied().collect();
    // A skippable frame, which unpacks to nothing.
    let skippable = [
        &0x184d_2a50_u32.to_le_bytes()[..],
        &4_u32.to_le_bytes(),
        b"skip",
    ]
    .concat();
    let twice = pack(&packed);
    let two_halves = [pack(&whole[..40]), pack(&whole[40..])].concat();
    let attacks: Vec<(&str, Vec<u8>, u16)> = vec![
        ("ten gibibytes", zstd_zeros(10 << 30, 23), 413),
        (
            "ten gibibytes behind a submission",
            [packed.clone(), zstd_zeros(10 << 30, 23)].concat(),
            413,
        ),
        ("a bomb of many frames", packed.repeat(20_000), 413),
        ("a window of 2 GiB", zstd_zeros(1 << 20, 31), 400),
        (
            "four mebibytes that say so",
            pack(&vec![b' '; 4 << 20]),
            413,
        ),
        ("nothing", Vec::new(), 400),
        ("no zstd", whole.clone(), 400),
        ("cut off", packed[..packed.len() - 3].to_vec(), 400),
        ("damaged", flipped, 400),
        ("a tail", [packed.clone(), b"tail".to_vec()].concat(), 400),
        ("a frame to skip", skippable.clone(), 400),
        ("packed twice", twice, 400),
        ("two halves", two_halves, 200),
        (
            "a frame to skip before it",
            [skippable, packed].concat(),
            200,
        ),
    ];
    for (attack, body, status) in attacks {
        let request = target
            .evil
            .request("POST", OPERATIONS)
            .header("Content-Encoding", "zstd");
        let answer = target.evil.ask(&request.json(body));
        assert_eq!(answer.status, status, "{attack}: {:.300}", answer.text());
        if status != 200 {
            answer.problem();
        }
        target.assert_unharmed(attack);
    }
    let peak = peak_memory(target.central.pid());
    println!("central took {peak} bytes at most");
    assert!(peak < 128 << 20, "central took {peak} bytes");
}

/// What is not a request, within TLS or in its place, cannot be answered as one: a bare 4xx or a closed
/// connection will do.
#[test]
fn what_is_not_http_is_dropped_and_nobody_else_notices() {
    let mut target = Target::start();
    let announced = format!("{VERSION}: 1\r\nContent-Type: application/json");
    let body = text(&target.evil.body(&[]));
    let post = |headers: &str, rest: &str| {
        format!(
            "POST {OPERATIONS} HTTP/1.1\r\nHost: x\r\n{announced}\r\n{headers}\r\n\r\n{body}{rest}"
        )
        .into_bytes()
    };
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = "a".repeat(1 << 20);
    let length = body.len();
    let smuggled = "\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    let attacks: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        (
            "random bytes",
            (0..20_000).map(|_| fastrand::u8(..)).collect(),
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (
            "an endless target",
            format!("GET /{long} HTTP/1.1\r\n\r\n").into(),
        ),
        (
            "an endless header",
            format!("GET /livez HTTP/1.1\r\nX: {long}\r\n\r\n").into(),
        ),
        (
            "many headers",
            format!("GET /livez HTTP/1.1\r\n{many}\r\n").into(),
        ),
        (
            "a longer body than announced",
            post(&format!("Content-Length: {}", length - 5), ""),
        ),
        (
            "a body that breaks off",
            post(&format!("Content-Length: {}", length + 5), ""),
        ),
        (
            "two lengths",
            post(
                &format!("Content-Length: {length}\r\nContent-Length: 5"),
                "",
            ),
        ),
        ("a negative length", post("Content-Length: -1", "")),
        ("chunks of no size", post("Transfer-Encoding: chunked", "")),
        (
            "a length and chunks",
            post(
                &format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
                smuggled,
            ),
        ),
    ];
    let Place::Tls(address, _) = target.evil.place else {
        unreachable!("agents speak TLS");
    };
    let within = target.evil.place.clone();
    let places = [within, Place::Tcp(address)];
    for (attack, bytes, place) in attacks
        .iter()
        .flat_map(|(attack, bytes)| places.iter().map(move |place| (attack, bytes, place)))
    {
        let mut connection = Connection::open(place).expect("connect");
        let sent = connection.send(bytes);
        let _ = connection.close_sending();
        match connection.rest() {
            Ok(said) => {
                let said = text(&said);
                assert!(
                    !said.contains("200 OK") && !said.contains("live"),
                    "{attack}: {said}"
                );
            }
            Err(fault) => assert!(is_end(&fault), "{attack}: {fault} ({sent:?})"),
        }
        target.assert_unharmed(attack);
    }
    target.evil.assert_served("what is not HTTP");
    target.assert_holds(1);
}

/// Slow and silent senders are let go in bounded time while a good agent is served throughout.
#[test]
fn slow_senders_are_let_go_and_delay_nobody() {
    let mut target = Target::start();
    // Of one agent, the oldest connections would give way to the others.
    let slow: Vec<Place> = (0..12)
        .map(|_| Agent::register(&target.central, "PAR").place)
        .collect();
    let next = Cell::new(0);
    let started = Instant::now();
    let open = |bytes: &[u8]| {
        let place = &slow[next.replace(next.get() + 1) % slow.len()];
        let mut connection = Connection::open(place).expect("connect");
        connection.send(bytes).expect("send");
        connection
    };
    let post = target
        .evil
        .request("POST", OPERATIONS)
        .header("Content-Type", "application/json");
    let announced = post.clone().header("Content-Length", "1000000").to_bytes();
    let in_chunks = [
        post.header("Transfer-Encoding", "chunked").to_bytes(),
        b"5\r\n{\"str".to_vec(),
    ]
    .concat();
    let mut stalled: Vec<Connection> = (0..100).map(|_| open(&announced)).collect();
    stalled.extend((0..20).map(|_| open(&in_chunks)));
    let silent: Vec<Connection> = (0..100).map(|_| open(b"")).collect();
    // The longest wait that can be asked for ends too.
    let feed = "/v1/feed?wait=18446744073709551615";
    let waiting = target.evil.request("GET", feed).to_bytes();
    let waiting: Vec<Connection> = (0..100).map(|_| open(&waiting)).collect();
    let in_headers: Vec<Connection> = (0..100)
        .map(|_| open(b"POST /v1/operations HTTP/1.1\r\nX: "))
        .collect();
    let mut trickling = open(&announced);
    let trickle = std::thread::spawn(move || {
        while trickling.send(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
        trickling.answer().map(|answer| answer.status)
    });
    while !trickle.is_finished() {
        let asked = Instant::now();
        target.assert_unharmed("slow senders");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "a trickle is never given up"
        );
    }
    let answered = trickle.join().expect("the thread ends");
    assert!(matches!(answered, Ok(408)) || answered.is_err_and(|fault| is_end(&fault)));
    for mut connection in stalled {
        assert_problem(
            &connection.answer().expect("an answer"),
            408,
            "too-slow",
            "a stalled body",
        );
    }
    for mut connection in silent.into_iter().chain(in_headers) {
        let said = text(&connection.rest().expect("it is closed"));
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
    for mut connection in waiting {
        assert_eq!(connection.answer().expect("the wait ends").status, 200);
    }
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    let open_files = || {
        let folder = format!("/proc/{}/fd", target.central.pid());
        std::fs::read_dir(folder).expect("read /proc").count()
    };
    wait_for("the connections to be gone", || {
        (open_files() < 60).then_some(())
    });
    target.assert_unharmed("slow senders that are gone");
}
