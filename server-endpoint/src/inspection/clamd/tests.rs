//! What answers mean, and a clamd that says whatever a test wants, on a real socket.

use tokio::net::UnixListener;

use super::*;

const PATIENCE: Patience = Patience {
    answer: Duration::from_secs(20),
    scan: Duration::from_secs(20),
};

#[test]
fn only_a_verdict_is_a_verdict() {
    for (answer, meaning) in [
        ("stream: OK\0", Ok(Answer::Clean)),
        (
            "stream: Win.Test.EICAR_HDB-1 FOUND\0",
            Ok(Answer::Infected("Win.Test.EICAR_HDB-1".into())),
        ),
        (
            "stream: A FOUND FOUND\0",
            Ok(Answer::Infected("A FOUND".into())),
        ),
        ("stream:  FOUND\0", Ok(Answer::Infected("unnamed".into()))),
        (
            "stream: a\u{1b}[31m\u{202e}b FOUND\0",
            Ok(Answer::Infected("a\u{fffd}[31m\u{fffd}b".into())),
        ),
        (
            "INSTREAM size limit exceeded. ERROR\0",
            Ok(Answer::TooLarge),
        ),
        (
            "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0",
            Ok(Answer::TooLarge),
        ),
    ] {
        assert_eq!(parse(answer.as_bytes()), meaning, "{answer:?}");
    }
    for no_verdict in [
        "stream: OK",
        "stream: O",
        "stream: ",
        "",
        "stream: FOUND",
        "stream: X FOUN",
    ] {
        // The connection ended in the middle.
        assert!(
            matches!(parse(no_verdict.as_bytes()), Err(ScanFault::Away(_))),
            "{no_verdict:?}"
        );
    }
    for no_verdict in [
        "stream: CL_ETIMEOUT: Time limit reached ERROR\0",
        "COMMAND READ TIMED OUT ERROR\0",
        "OK\0",
        "ok\0",
        "stream: ok\0",
        "stream: OK \0",
        "stream: \0",
        "stream: FOUND\0",
        "fd[10]: OK\0",
        "UNKNOWN COMMAND\0",
        "\0",
    ] {
        assert!(
            matches!(parse(no_verdict.as_bytes()), Err(ScanFault::Failed(_))),
            "{no_verdict:?}"
        );
    }
    assert!(parse(b"stream: X FOUND\0stream: OK\0").is_err());
    assert!(parse(b"stream: X\xff FOUND\0").is_ok());
    let long = format!("stream: {} FOUND\0", "x".repeat(3_000));
    let Ok(Answer::Infected(name)) = parse(long.as_bytes()) else {
        panic!("found")
    };
    assert_eq!(name.len(), limits::SIGNATURE_CHARS);
}

/// A clamd that reads so many bytes of one stream, then says this and hangs up.
fn scripted(reads: usize, says: &'static [u8]) -> (tempfile::TempDir, Clamd, impl Future) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("clamd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut read = vec![0; reads];
        let _ = connection.read_exact(&mut read).await;
        let _ = connection.write_all(says).await;
    };
    (folder, Clamd::new(socket, PATIENCE), server)
}

async fn scan(clamd: &Clamd, bytes: &[u8]) -> Result<Answer, ScanFault> {
    let mut stream = clamd.begin().await?;
    if let Some(answer) = stream.send(bytes).await? {
        return Ok(answer);
    }
    stream.finish().await
}

const ALL_OF_FIVE: usize = b"zINSTREAM\0".len() + 4 + 5 + 4;

#[tokio::test]
async fn p5_a_clean_answer_counts_only_after_all_bytes() {
    let (_folder, clamd, server) = scripted(ALL_OF_FIVE, b"stream: OK\0");
    let (answer, _) = tokio::join!(scan(&clamd, b"bytes"), server);
    assert_eq!(answer, Ok(Answer::Clean));

    // It says OK after the first kilobyte of a megabyte, and hangs up.
    let (_folder, clamd, server) = scripted(1_024, b"stream: OK\0");
    let megabyte = vec![7; 1024 * 1024];
    let (answer, _) = tokio::join!(scan(&clamd, &megabyte), server);
    assert!(answer.is_err(), "{answer:?}");

    // A limit may be said early.
    let said = b"INSTREAM size limit exceeded. ERROR\0";
    let (_folder, clamd, server) = scripted(1_024, said);
    let (answer, _) = tokio::join!(scan(&clamd, &megabyte), server);
    assert_eq!(answer, Ok(Answer::TooLarge));

    for says in [&b""[..], b"stream: O", b"stream: OK"] {
        let (_folder, clamd, server) = scripted(ALL_OF_FIVE, says);
        let (answer, _) = tokio::join!(scan(&clamd, b"bytes"), server);
        assert!(matches!(answer, Err(ScanFault::Away(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn p8_an_answer_without_end_is_read_to_its_bound() {
    let endless = Box::leak(vec![b'x'; 1024 * 1024].into_boxed_slice());
    let (_folder, clamd, server) = scripted(ALL_OF_FIVE, endless);
    let (answer, _) = tokio::join!(scan(&clamd, b"bytes"), server);
    assert!(matches!(answer, Err(ScanFault::Away(_))), "{answer:?}");
}

#[tokio::test]
async fn every_step_has_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("clamd.sock");
    let short = Duration::from_millis(50);
    let clamd = Clamd::new(
        socket.clone(),
        Patience {
            answer: short,
            scan: short,
        },
    );
    let said = clamd.ping().await.unwrap_err().to_string();
    assert!(said.starts_with("does not answer: "), "{said}");
    // Connections are made by the kernel; nobody accepts them.
    let _listener = UnixListener::bind(&socket).unwrap();
    for fault in [
        clamd.ping().await.unwrap_err(),
        clamd.version().await.unwrap_err(),
        scan(&clamd, b"bytes").await.unwrap_err(),
        scan(&clamd, &vec![0; 4 * 1024 * 1024]).await.unwrap_err(),
    ] {
        assert!(
            fault.to_string().contains("it took more than 0.05 s"),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn it_is_there_only_if_it_says_so() {
    for (says, there) in [
        (&b"PONG\0"[..], true),
        (b"PONG", false),
        (b"ERROR\0", false),
        (b"PONG\0PONG\0", false),
    ] {
        let (_folder, clamd, server) = scripted(6, says);
        let (answer, _) = tokio::join!(clamd.ping(), server);
        assert_eq!(answer.is_ok(), there, "{answer:?}");
    }
    let (_folder, clamd, server) = scripted(9, b"ClamAV 1.4\x1b[2J\0");
    let (version, _) = tokio::join!(clamd.version(), server);
    assert_eq!(version.unwrap(), "ClamAV 1.4\u{fffd}[2J");
}
