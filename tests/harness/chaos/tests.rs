//! Each fault alone: what the client sees, what the upstream sees, and what is counted.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

use super::http::MAX_REMEMBERED_BYTES;
use super::*;

const SEED: u64 = 1;
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers every request with its body, and remembers what it got.
struct Echo {
    addr: SocketAddr,
    seen: watch::Receiver<Vec<Vec<u8>>>,
    _task: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (record, seen) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(Self::answer(client, record.clone()));
            }
        });
        Self {
            addr,
            seen,
            _task: task,
        }
    }

    async fn answer(mut client: TcpStream, record: watch::Sender<Vec<Vec<u8>>>) {
        while let Ok(request) = read_message(&mut client).await {
            record.send_modify(|seen| seen.push(request.clone()));
            let _ = client
                .write_all(&message("HTTP/1.1 200 OK", body_of(&request)))
                .await;
        }
    }

    async fn has_seen(&self, requests: usize) -> Vec<Vec<u8>> {
        let mut seen = self.seen.clone();
        let enough = seen.wait_for(|seen| seen.len() >= requests);
        timeout(PATIENCE, enough).await.unwrap().unwrap().clone()
    }
}

fn message(first_line: &str, body: &[u8]) -> Vec<u8> {
    let mut message =
        format!("{first_line}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    message.extend_from_slice(body);
    message
}

fn request(body: &[u8]) -> Vec<u8> {
    message("POST /v1/x HTTP/1.1", body)
}

fn reply(body: &[u8]) -> Vec<u8> {
    message("HTTP/1.1 200 OK", body)
}

fn body_of(message: &[u8]) -> &[u8] {
    let head = message
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    &message[head + 4..]
}

/// A request or reply with a content-length; what came of it before the end is in the error.
async fn read_message(from: &mut TcpStream) -> Result<Vec<u8>, Vec<u8>> {
    let mut message = Vec::new();
    let mut length = None;
    while length.is_none_or(|length| message.len() < length) {
        match timeout(PATIENCE, from.read_buf(&mut message))
            .await
            .expect("bytes or an end")
        {
            Ok(count) if count > 0 => {}
            _ => return Err(message),
        }
        if let Some(head) = message.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&message[..head]).to_ascii_lowercase();
            let (_, rest) = text.split_once("content-length: ").unwrap();
            let body: usize = rest.lines().next().unwrap().parse().unwrap();
            length = Some(head + 4 + body);
        }
    }
    Ok(message)
}

async fn exchange(proxy: &ChaosProxy, body: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let mut client = TcpStream::connect(proxy.addr())
        .await
        .map_err(|_| Vec::new())?;
    let _ = client.write_all(&request(body)).await;
    read_message(&mut client).await
}

async fn set_up(chaos: Chaos) -> (Echo, ChaosProxy) {
    let echo = Echo::start().await;
    let proxy = ChaosProxy::start(echo.addr, SEED, chaos).unwrap();
    (echo, proxy)
}

fn differing_bits(left: &[u8], right: &[u8]) -> u32 {
    assert_eq!(left.len(), right.len());
    left.iter()
        .zip(right)
        .map(|(left, right)| (left ^ right).count_ones())
        .sum()
}

#[tokio::test]
async fn without_chaos_the_proxy_is_transparent_and_counts_exactly() {
    let (echo, proxy) = set_up(Chaos::NONE).await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let mut expected = Stats {
        connections: 1,
        ..Stats::default()
    };
    for size in [0, 1, 300_000] {
        let body = vec![b'x'; size];
        client.write_all(&request(&body)).await.unwrap();
        assert_eq!(read_message(&mut client).await.unwrap(), reply(&body));
        expected.bytes_up += request(&body).len() as u64;
        expected.bytes_down += reply(&body).len() as u64;
        assert_eq!(proxy.stats(), expected);
    }
    // A half-closed connection still carries the reply, and then the upstream's own close.
    client.write_all(&request(b"last")).await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, client.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest, reply(b"last"));
    assert_eq!(echo.has_seen(4).await.len(), 4);
}

#[tokio::test]
async fn a_request_is_cut() {
    let chaos = Chaos {
        cut_request: 1000,
        cut_within: 5000,
        ..Chaos::NONE
    };
    let (echo, proxy) = set_up(chaos).await;
    for cut in 1..=20 {
        assert_eq!(exchange(&proxy, &[b'x'; 9000]).await, Err(Vec::new()));
        assert_eq!(proxy.stats().faults_of(Fault::CutRequest), cut);
    }
    let passed = proxy.stats().bytes_up;
    assert!(
        (1..=20 * 5000).contains(&passed),
        "{passed} bytes reached the upstream"
    );
    assert!(echo.has_seen(0).await.is_empty());
}

#[tokio::test]
async fn a_cut_waits_over_several_requests_and_is_called_off() {
    let chaos = Chaos {
        cut_request: 1000,
        cut_within: u64::MAX,
        ..Chaos::NONE
    };
    let (_echo, proxy) = set_up(chaos).await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client
        .write_all(&request(b"far from the cut"))
        .await
        .unwrap();
    read_message(&mut client).await.unwrap();
    proxy.set(Chaos {
        cut_request: 1000,
        cut_within: 0,
        ..Chaos::NONE
    });
    client.write_all(&request(b"at the cut")).await.unwrap();
    assert_eq!(read_message(&mut client).await, Err(Vec::new()));
    assert_eq!(proxy.stats().faults_of(Fault::CutRequest), 1);
}

#[tokio::test]
async fn a_reply_is_cut_after_the_request_had_its_effect() {
    let chaos = Chaos {
        cut_reply: 1000,
        cut_within: 5000,
        ..Chaos::NONE
    };
    let (echo, proxy) = set_up(chaos).await;
    let whole = reply(&[b'x'; 9000]);
    let mut arrived = 0;
    for cut in 1..=20 {
        let part = exchange(&proxy, &[b'x'; 9000]).await.unwrap_err();
        assert!(part.len() <= 5000 && whole.starts_with(&part));
        arrived += part.len();
        assert_eq!(echo.has_seen(cut).await.len(), cut);
        assert_eq!(proxy.stats().faults_of(Fault::CutReply), cut as u64);
    }
    assert!(arrived > 0, "some replies must arrive in part");
}

#[tokio::test]
async fn a_reply_is_swallowed_at_once_or_after_hanging() {
    let hang = Duration::from_millis(100);
    let chaos = Chaos {
        swallow_reply: 1000,
        hang,
        ..Chaos::NONE
    };
    let (echo, proxy) = set_up(chaos).await;
    let mut left_hanging = 0;
    for swallowed in 1..=12 {
        let begun = Instant::now();
        assert_eq!(exchange(&proxy, b"body").await, Err(Vec::new()));
        left_hanging += u32::from(begun.elapsed() >= hang);
        assert_eq!(echo.has_seen(swallowed).await.len(), swallowed);
    }
    assert!(
        (1..12).contains(&left_hanging),
        "{left_hanging} of 12 were left hanging"
    );
    assert_eq!(proxy.stats().faults_of(Fault::SwallowReply), 12);
    assert_eq!(proxy.stats().bytes_down, 0);
}

#[tokio::test]
async fn chunks_are_delayed() {
    let max_delay = Duration::from_millis(40);
    let (_echo, proxy) = set_up(Chaos {
        delay: 1000,
        max_delay,
        ..Chaos::NONE
    })
    .await;
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(exchange(&proxy, b"body").await.unwrap(), reply(b"body"));
    }
    assert!(
        begun.elapsed() > max_delay,
        "twenty chunks took {:?}",
        begun.elapsed()
    );
    assert!(proxy.stats().faults_of(Fault::Delay) >= 20);
}

#[tokio::test]
async fn bytes_dribble() {
    let (_echo, proxy) = set_up(Chaos {
        dribble: 1000,
        ..Chaos::NONE
    })
    .await;
    let body = vec![b'x'; 20_000];
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(&request(&body)).await.unwrap();
    let mut first = [0; 1000];
    let count = timeout(PATIENCE, client.read(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert!(count < 200, "the first {count} bytes came in one piece");
    let rest = reply(&body).len() - count;
    let mut arrived = first[..count].to_vec();
    arrived.resize(count + rest, 0);
    client.read_exact(&mut arrived[count..]).await.unwrap();
    assert_eq!(arrived, reply(&body));
    assert_eq!(
        proxy.stats().faults_of(Fault::Dribble),
        2,
        "once in each direction"
    );
}

#[tokio::test]
async fn one_bit_of_a_body_flips() {
    let (echo, proxy) = set_up(Chaos {
        flip_byte: 1000,
        ..Chaos::NONE
    })
    .await;
    let body = [b'x'; 12]; // shorter than the head, where no bit may flip
    let mut of_requests = 0;
    for flipped in 1..=20 {
        let arrived = exchange(&proxy, &body).await.unwrap();
        assert_eq!(differing_bits(&arrived, &reply(&body)), 1);
        assert!(arrived.starts_with(&reply(&body)[..arrived.len() - body.len()]));
        let seen = echo.has_seen(flipped).await;
        of_requests += differing_bits(&seen[flipped - 1], &request(&body));
        assert_eq!(proxy.stats().faults_of(Fault::FlipByte), flipped as u64);
    }
    assert!(
        (1..20).contains(&of_requests),
        "{of_requests} of 20 hit the request"
    );
}

#[tokio::test]
async fn a_request_is_duplicated() {
    let (echo, proxy) = set_up(Chaos {
        duplicate: 1000,
        ..Chaos::NONE
    })
    .await;
    let long = vec![b'x'; 40_000];
    for body in [&b""[..], &long] {
        let before = echo.has_seen(0).await.len();
        assert_eq!(exchange(&proxy, body).await.unwrap(), reply(body));
        let seen = echo.has_seen(before + 2).await;
        assert_eq!(seen[before..], [request(body), request(body)]);
    }
    assert_eq!(proxy.stats().faults_of(Fault::Duplicate), 2);
    assert_eq!(proxy.stats().connections, 2);
}

#[tokio::test]
async fn the_proxy_answers_in_its_own_name() {
    let cases = [
        (
            Fault::BadGateway,
            Chaos {
                bad_gateway: 1000,
                ..Chaos::NONE
            },
            "502 ",
            "<html>",
        ),
        (
            Fault::CaptivePortal,
            Chaos {
                captive_portal: 1000,
                ..Chaos::NONE
            },
            "200 ",
            "<html>",
        ),
        (
            Fault::Busy,
            Chaos {
                busy: 1000,
                ..Chaos::NONE
            },
            "503 ",
            "\r\nRetry-After: 1\r\n",
        ),
    ];
    let (echo, proxy) = set_up(Chaos::NONE).await;
    for (fault, chaos, status, content) in cases {
        proxy.set(chaos);
        for size in [10, 100_000, 2 * MAX_REMEMBERED_BYTES] {
            let answer = exchange(&proxy, &vec![b'x'; size]).await.unwrap();
            let answer = String::from_utf8(answer).unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            assert!(answer.contains(content), "{answer}");
        }
        assert_eq!(proxy.stats().faults_of(fault), 3);
    }
    assert!(echo.has_seen(0).await.is_empty());
}

#[tokio::test]
async fn down_cuts_and_refuses_until_up() {
    let (_echo, proxy) = set_up(Chaos::NONE).await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(&request(b"before")).await.unwrap();
    read_message(&mut client).await.unwrap();
    for _ in 0..3 {
        proxy.down().await.unwrap();
        let cut = timeout(PATIENCE / 4, client.read(&mut [0; 1])).await;
        assert_eq!(cut.expect("the connection is cut").unwrap_or(0), 0);
        let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        proxy.up().await.unwrap();
        assert_eq!(exchange(&proxy, b"after").await.unwrap(), reply(b"after"));
    }
    let addr = proxy.addr();
    drop(proxy);
    let refused = async { while TcpStream::connect(addr).await.is_ok() {} };
    timeout(PATIENCE, refused)
        .await
        .expect("the proxy ends with its handle");
}

#[tokio::test]
async fn open_connections_follow_a_change() {
    let (echo, proxy) = set_up(Chaos::NONE).await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(&request(b"first")).await.unwrap();
    read_message(&mut client).await.unwrap();
    proxy.set(Chaos {
        busy: 1000,
        ..Chaos::NONE
    });
    client.write_all(&request(b"second")).await.unwrap();
    assert!(
        read_message(&mut client)
            .await
            .unwrap()
            .starts_with(b"HTTP/1.1 503 ")
    );
    assert_eq!(echo.has_seen(1).await.len(), 1);
}

#[tokio::test]
async fn a_hostile_line_still_carries_something() {
    let (hang, max_delay) = (Duration::from_millis(20), Duration::from_millis(20));
    let (_echo, proxy) = set_up(Chaos {
        max_delay,
        hang,
        ..Chaos::hostile()
    })
    .await;
    let mut carried = 0;
    for _ in 0..100 {
        carried += u32::from(exchange(&proxy, b"body").await == Ok(reply(b"body")));
    }
    assert!(
        (20..90).contains(&carried),
        "{carried} of 100: {:?}",
        proxy.stats()
    );
}
