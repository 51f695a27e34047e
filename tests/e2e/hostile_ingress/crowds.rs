//! Crowds that prove nothing: idle connections by the thousand, half handshakes, handshakes that drip.
//! None of them keeps an agent from being heard, and central's memory and handles stay bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::processes::wait_for;
use harness::raw_http::{Connection, Place};
use socket2::{Domain, Socket, Type};

use super::{OPERATIONS, Target, peak_memory};

/// As many as a person with one machine opens without trouble.
const CROWD: usize = 10_000;
/// Handles that this process needs besides.
const OTHER_HANDLES: usize = 1_000;
/// What central may take, whoever comes.
const MEMORY: u64 = 256 << 20;
/// The beginning of a TLS handshake, which says that more will follow.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// So many connections as this machine allows this process.
fn crowd_size() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls only read and write the structure.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    let allowed = usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX);
    let crowd = CROWD.min(allowed.saturating_sub(OTHER_HANDLES));
    if crowd < CROWD {
        println!("only {crowd} connections: the limit on open files is {allowed}");
    }
    crowd
}

/// A connection from one of this machine's many addresses.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    // A full queue at central is central's to empty; nobody waits for ever.
    socket.connect_timeout(&to.into(), Duration::from_secs(20))?;
    Ok(socket.into())
}

fn address(target: &Target) -> SocketAddr {
    match target.good.place {
        Place::Tls(address, _) | Place::Tcp(address) => address,
        Place::Unix(_) => unreachable!("agents speak TLS"),
    }
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("read /proc")
        .count()
}

/// Whether the other side has closed it.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(0) => true,
        Ok(_) => false,
        Err(fault) => fault.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn ten_thousand_idle_connections_keep_no_agent_out() {
    let mut target = Target::start();
    let central = address(&target);
    let mut kept = Connection::open(&target.good.place).expect("connect");
    kept.shake_hands().expect("a handshake");
    let mut crowd: Vec<TcpStream> = Vec::new();
    let many = crowd_size();
    for number in 0..many {
        // One half from the agent's own address, the other from many.
        let host = u8::try_from(number % 200).expect("small");
        let from = match number % 2 {
            0 => Ipv4Addr::LOCALHOST,
            _ => Ipv4Addr::new(127, 0, 1, host + 1),
        };
        let mut stream = connect_from(from, central).expect("connect");
        if number % 3 == 0 {
            let _ = stream.write_all(HALF_A_HELLO);
        }
        crowd.push(stream);
        if number % 500 == 0 {
            target.good.assert_served("a growing crowd");
        }
    }
    target.assert_unharmed("the whole crowd");
    // On a connection that was there before the crowd, too.
    let ticket = target.good.ticket().to_string();
    let body = target.good.body(&[ticket.as_bytes()]);
    let request = target.good.request("POST", OPERATIONS).json(body);
    kept.send(&request.to_bytes()).expect("send");
    let answer = kept.answer().expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    target.good.at = target.good.at.then(ticket.as_bytes());
    let pid = target.central.pid();
    wait_for("most of the crowd to be let go", || {
        (open_files(pid) < 1_000).then_some(())
    });
    let closed = crowd.iter_mut().map(is_closed).filter(|closed| *closed);
    let closed = closed.count();
    assert!(closed > many / 2, "{closed} of {many} were let go");
    let peak = peak_memory(pid);
    println!("{many} connections, central took {peak} bytes at most");
    assert!(peak < MEMORY, "central took {peak} bytes");
    drop(crowd);
    target.assert_unharmed("a crowd that is gone");
}

#[test]
fn handshakes_that_drip_are_given_up_and_delay_nobody() {
    let mut target = Target::start();
    let central = address(&target);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dripping = scope.spawn(|| {
            let mut streams: Vec<TcpStream> = (0..400)
                .map(|number: u32| {
                    let [.., third, fourth] = (number / 4 + 1).to_be_bytes();
                    let from = Ipv4Addr::new(127, 0, 2 + third, fourth);
                    let mut stream = connect_from(from, central).expect("connect");
                    let _ = stream.write_all(HALF_A_HELLO);
                    stream
                })
                .collect();
            let started = Instant::now();
            while !streams.is_empty() && !stop.load(Ordering::Relaxed) {
                assert!(
                    started.elapsed() < Duration::from_secs(60),
                    "{} are never given up",
                    streams.len()
                );
                streams.retain_mut(|stream| {
                    let _ = stream.set_nonblocking(false);
                    stream.write_all(b"\0").is_ok() && !is_closed(stream)
                });
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        while !dripping.is_finished() {
            let asked = Instant::now();
            target.good.assert_served("dripping handshakes");
            let took = asked.elapsed();
            if took >= Duration::from_secs(10) {
                stop.store(true, Ordering::Relaxed);
                panic!("an agent waited for {took:?}");
            }
        }
        dripping.join().expect("all are given up");
    });
    target.assert_unharmed("handshakes that dripped");
}

/// Whoever has a certificate is bounded too, and takes nobody else's place.
#[test]
fn one_agent_cannot_take_all_places() {
    let mut target = Target::start();
    let mut oldest = Connection::open(&target.evil.place).expect("connect");
    // It is never idle: only its agent's greed can end it.
    let live = target.evil.request("GET", "/livez").to_bytes();
    let mut ask = move || {
        oldest.send(&live)?;
        oldest.answer()
    };
    assert_eq!(ask().expect("an answer").status, 200);
    let mut held = Vec::new();
    for number in 0..400 {
        let mut connection = Connection::open(&target.evil.place).expect("connect");
        if connection.shake_hands().is_ok() {
            held.push(connection);
        }
        if number % 100 == 0 {
            target.good.assert_served("a greedy agent");
        }
    }
    wait_for("the greedy agent's oldest connection to end", || {
        ask().is_err().then_some(())
    });
    target.evil.assert_served("its own greed");
    target.assert_unharmed("a greedy agent");
}

/// The address that is used most is not the agent's alone.
#[test]
fn strangers_from_everywhere_give_way_to_an_agent() {
    let mut target = Target::start();
    let central = address(&target);
    let mut crowd = Vec::new();
    for number in 0_u32..1_200 {
        let [.., second, third, fourth] = (number + 1).to_be_bytes();
        let from = Ipv4Addr::new(127, second + 1, third, fourth);
        crowd.push(connect_from(from, central).expect("connect"));
        if number % 200 == 0 {
            target.good.assert_served("strangers from everywhere");
        }
    }
    target.assert_unharmed("strangers from everywhere");
    let pid = target.central.pid();
    wait_for("most to be let go", || {
        (open_files(pid) < 800).then_some(())
    });
}
