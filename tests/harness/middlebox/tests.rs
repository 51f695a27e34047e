//! What the middlebox does to a request, as both ends see it.

use branchline_protocol::frame::{Encoding, Header, MAGIC};

use super::*;

/// Answers every request with its own body, and gives the bodies that arrived whole.
async fn echo() -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (record, mut task) = (seen.clone(), JoinSet::new());
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let record = record.clone();
            connections.spawn(async move {
                let mut wire = Wire::new(stream);
                while let Ok((_, body)) = wire.message().await {
                    lock(&record).push(body.clone());
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    let _ = wire.stream.write_all(head.as_bytes()).await;
                    let _ = wire.stream.write_all(&body).await;
                }
            });
        }
    });
    (address, seen, task)
}

async fn ask(middlebox: &Middlebox, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut wire = Wire::new(TcpStream::connect(middlebox.address()).await?);
    let head = format!(
        "POST {CHUNKS_PATH} HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    wire.stream.write_all(head.as_bytes()).await?;
    wire.stream.write_all(body).await?;
    wire.message().await.map(|(_, body)| body)
}

fn frames() -> Vec<u8> {
    let chunk = vec![7; 50_000];
    let header = Header {
        chunk: ChunkRef::of(&chunk),
        encoding: Encoding::Plain,
        stored: 50_000,
    };
    [&MAGIC[..], &header.encode(), &chunk].concat()
}

#[tokio::test]
async fn bodies_go_through_whole_and_are_counted() {
    let (upstream, seen, _task) = echo().await;
    for middlebox in [
        Middlebox::serve(upstream, false).await,
        Middlebox::serve(upstream, true).await,
    ] {
        let body = frames();
        assert_eq!(ask(&middlebox, &body).await.unwrap(), body);
        let carried = middlebox.carried();
        assert_eq!(carried[0].bytes, body.len() as u64);
        assert_eq!(carried[0].chunks, [ChunkRef::of(&[7; 50_000])]);
        assert_eq!(carried[0].answered, Some(200));
        assert_eq!(lock(&seen).pop(), Some(body));
    }
}

#[tokio::test]
async fn a_request_is_treated_as_planned() {
    let (upstream, seen, _task) = echo().await;
    let middlebox = Middlebox::serve(upstream, false).await;
    let plans = [
        Plan {
            flip: Some(40_000),
            ..Plan::default()
        },
        Plan {
            flip_reply: Some(3),
            ..Plan::default()
        },
        Plan {
            cut: Some(20_000),
            ..Plan::default()
        },
        Plan {
            swallow: true,
            ..Plan::default()
        },
        Plan {
            keep: true,
            ..Plan::default()
        },
    ];
    middlebox.set_rule(move |heading| plans[heading.number]);
    let body = frames();
    let with = |at: usize| {
        let mut body = body.clone();
        body[at] ^= 1;
        body
    };
    assert_eq!(ask(&middlebox, &body).await.unwrap(), with(40_000));
    assert_eq!(ask(&middlebox, &body).await.unwrap(), with(3));
    for _ in 0..3 {
        assert!(ask(&middlebox, &body).await.is_err());
    }
    assert_eq!(middlebox.kept(), 1);
    assert_eq!(
        lock(&seen).len(),
        3,
        "neither what was cut nor what is kept"
    );
    assert_eq!(middlebox.release().await, [(200, body)]);
    assert_eq!(lock(&seen).len(), 4);
    let answered: Vec<_> = middlebox
        .carried()
        .iter()
        .map(|carried| carried.answered)
        .collect();
    assert_eq!(answered, [Some(200), Some(200), None, None, None]);
}
