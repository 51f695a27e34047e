//! Files that central support gives: who may, under what name, and how much; and that nothing is kept of
//! what did not come whole.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes};
use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::Service;

use super::super::listener::Peer;
use super::commands::version;
use super::{Answer, Ask, Bounds, HOST, World};
use crate::desk::Way;
use crate::ledger::{FileFilter, FileLedger, MoveFile, OperatorLedger, Right, Role, now};
use crate::testing::authority;

fn upload(cookie: &str, query: &str, content: &[u8]) -> Ask {
    let mut ask = Ask::new(Method::POST, &format!("/desk/v1/files?{query}")).by(cookie);
    ask.body = content.to_vec();
    ask.with("content-type", "application/octet-stream")
}

/// A world with a ticket, and somebody of support.
async fn world(bounds: Bounds) -> (World, String) {
    let world = World::within(Way::Tls(authority().desk_config()), bounds);
    world.filed("LYN", &["Printer jams"]).await;
    let cookie = world.signed_in(Role::Support).await;
    (world, cookie)
}

fn small() -> Bounds {
    Bounds {
        upload_bytes: 1_000_000,
        upload_stall: Duration::from_millis(200),
        ..Bounds::default()
    }
}

async fn known(world: &World) -> usize {
    let all = FileFilter {
        most: 9,
        ..FileFilter::default()
    };
    world.ledger.files(all).await.unwrap().len()
}

/// Bytes in the vault, half-written ones included.
fn in_vault(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.map(|entry| {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            in_vault(&entry.path())
        } else {
            entry.metadata().unwrap().len()
        }
    });
    sizes.sum()
}

async fn state_of(world: &World, cookie: &str, id: &str) -> Value {
    let ask = Ask::new(Method::GET, &format!("/desk/v1/files/{id}/state")).by(cookie);
    world.ask(ask).await.json()
}

async fn moved(world: &World, id: &str, states: &[FileState]) {
    let id: FileId = id.parse().unwrap();
    for state in states {
        let file = world.ledger.file(id).await.unwrap().unwrap();
        let moved = MoveFile {
            file: id,
            version: file.version,
            state: state.clone(),
            sniffed: None,
            disguised: false,
            deed: None,
            at: now(),
        };
        world.ledger.move_file(moved).await.unwrap().unwrap();
    }
}

/// A reply with this file, as the ticket is now.
async fn reply_with(world: &World, cookie: &str, nth: u8, file: &str) -> Answer {
    let saw = version(world, cookie, "LYN-000001").await;
    let reply = json!({
        "id": format!("01890000-0000-7000-8000-0000000000{nth:02x}"),
        "saw": saw, "kind": "reply", "text": "see here", "files": [file],
    });
    world.command(cookie, "LYN-000001", &reply).await
}

fn infected(signature: &str) -> FileState {
    FileState::Infected {
        signature: signature.into(),
    }
}

#[tokio::test]
async fn p3_a_file_is_taken_whole_and_nobody_reads_it_before_its_verdict() {
    let (world, cookie) = world(Bounds::default()).await;
    let content: Vec<u8> = (0..=250).cycle().take(600_000).collect();
    let query = "ticket=LYN-000001&name=The%20manual%20%C3%A9.pdf";
    let taken = world.ask(upload(&cookie, query, &content)).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{taken:?}");
    let taken = taken.json();
    assert_eq!(
        (&taken["name"], &taken["size"], &taken["state"]),
        (
            &json!("The manual é.pdf"),
            &json!(600_000),
            &json!("received")
        )
    );
    let id = taken["id"].as_str().unwrap();
    assert_eq!(in_vault(&world.folder.path().join("vault")), 600_000);
    let file = world
        .ledger
        .file(id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(file.root.0, *blake3::hash(&content).as_bytes());
    assert_eq!((file.count, file.reporter.as_str()), (Some(3), "support"));
    let read = Ask::new(Method::GET, &format!("/desk/v1/files/{id}")).by(&cookie);
    assert_eq!(world.ask(read).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn p5_a_file_goes_with_a_reply_only_when_it_is_clean() {
    let (world, cookie) = world(Bounds::default()).await;
    let taken = world.ask(upload(&cookie, "ticket=LYN-000001&name=f", b"bytes"));
    let taken = taken.await.json();
    let id = taken["id"].as_str().unwrap();
    let early = reply_with(&world, &cookie, 1, id).await;
    assert_eq!(early.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(early.json()["field"], "files[0]");

    let way = [FileState::Scanning, FileState::Clean, infected("Eicar")];
    moved(&world, id, &way).await;
    let shown = state_of(&world, &cookie, id).await;
    let (state, detail) = (&shown["state"], &shown["detail"]);
    assert_eq!((state, detail), (&json!("infected"), &json!("Eicar")));
    let late = reply_with(&world, &cookie, 2, id).await;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY);
    moved(&world, id, &[FileState::Clean]).await;
    let sent = reply_with(&world, &cookie, 3, id).await;
    assert_eq!(sent.status, StatusCode::OK, "{sent:?}");

    let file = async || {
        world.caught_up().await;
        let question =
            "{ ticket(number: \"LYN-000001\") { timeline { files { state readable } } } }";
        let shown = world.data(&cookie, question).await;
        shown["ticket"]["timeline"][0]["files"][0].clone()
    };
    assert_eq!(file().await, json!({ "state": "clean", "readable": true }));
    // What is found later shows, too.
    moved(&world, id, &[infected("Later")]).await;
    let found = json!({ "state": "infected", "readable": false });
    assert_eq!(file().await, found);
}

#[tokio::test]
async fn p8_what_is_too_large_or_wrong_leaves_nothing_behind() {
    let (world, cookie) = world(small()).await;
    let one = "ticket=LYN-000001&name=f";
    let (fits, large) = (vec![7; 1_000_000], vec![7; 1_000_001]);
    for (query, content, status, problem) in [
        (one, &large[..], StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        (one, &[], StatusCode::UNPROCESSABLE_ENTITY, "invalid-field"),
        (
            "ticket=LYN-000009&name=f",
            &fits[..],
            StatusCode::NOT_FOUND,
            "not-found",
        ),
        (
            "ticket=../x&name=f",
            &fits,
            StatusCode::NOT_FOUND,
            "not-found",
        ),
        (
            "ticket=LYN-000001&name=",
            &fits,
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-field",
        ),
        (
            "ticket=LYN-000001&name=a%0D%0Ab",
            &fits,
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-field",
        ),
        ("name=f", &fits, StatusCode::BAD_REQUEST, "malformed"),
        (
            "ticket=LYN-000001",
            &fits,
            StatusCode::BAD_REQUEST,
            "malformed",
        ),
        (
            "ticket=LYN-000001&name=f&path=x",
            &fits,
            StatusCode::BAD_REQUEST,
            "malformed",
        ),
    ] {
        let answer = world.ask(upload(&cookie, query, content)).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        assert_eq!(answer.problem(), problem, "{query}");
        // Said beforehand, it is refused before it comes.
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let said = upload(&cookie, query, &[]).with("content-length", "1000001");
            assert_eq!(world.ask(said).await.status, status);
        }
    }
    let mut form = Ask::new(Method::POST, &format!("/desk/v1/files?{one}")).by(&cookie);
    form.body = b"x".to_vec();
    let form = form.with("content-type", "multipart/form-data; boundary=x");
    assert_eq!(
        world.ask(form).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(known(&world).await, 0);
    assert_eq!(in_vault(&world.folder.path().join("vault")), 0);
    let answer = world.ask(upload(&cookie, one, &fits)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

/// What comes as it comes.
async fn streamed(
    world: &World,
    cookie: &str,
    pieces: tokio::sync::mpsc::Receiver<Result<Bytes, std::io::Error>>,
) -> Answer {
    let stream = futures_util::stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    });
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/desk/v1/files?ticket=LYN-000001&name=f")
        .header("host", HOST)
        .header("cookie", cookie)
        .header("branchline-console", "1")
        .header("content-type", "application/octet-stream")
        .body(Body::from_stream(stream))
        .unwrap();
    let peer = Peer::of(std::net::Ipv4Addr::LOCALHOST.into());
    request.extensions_mut().insert(peer);
    let answer = world.router.clone().call(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

#[tokio::test]
async fn p3_what_breaks_off_or_stands_still_leaves_nothing_behind() {
    let (world, cookie) = world(small()).await;
    let vault = world.folder.path().join("vault");
    for broken in [true, false] {
        let (send, pieces) = tokio::sync::mpsc::channel(4);
        send.send(Ok(Bytes::from(vec![1; 400_000]))).await.unwrap();
        if broken {
            let fault = std::io::Error::other("gone");
            send.send(Err(fault)).await.unwrap();
        }
        // Held open: the other one stands still.
        let answer = streamed(&world, &cookie, pieces).await;
        let expected = if broken {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::REQUEST_TIMEOUT
        };
        assert_eq!(answer.status, expected, "{answer:?}");
        assert_eq!((known(&world).await, in_vault(&vault)), (0, 0));
        drop(send);
    }
}

#[tokio::test]
async fn whoever_is_sent_away_while_a_file_comes_gives_nothing() {
    let (world, cookie) = world(Bounds::default()).await;
    let (send, pieces) = tokio::sync::mpsc::channel(1);
    let going = async {
        send.send(Ok(Bytes::from(vec![1; 300_000]))).await.unwrap();
        // Taken, so that whoever sends it was let in.
        send.reserve().await.unwrap();
        let name = "support".parse().unwrap();
        assert!(
            world
                .ledger
                .remove_operator(name, super::deed())
                .await
                .is_ok()
        );
        drop(send);
    };
    let (answer, ()) = tokio::join!(streamed(&world, &cookie, pieces), going);
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert_eq!(known(&world).await, 0);
    assert_eq!(in_vault(&world.folder.path().join("vault")), 0);
}

#[tokio::test]
async fn a_program_gives_files_with_the_right_to_reply_and_no_other_site_does() {
    let (world, cookie) = world(Bounds::default()).await;
    let query = "ticket=LYN-000001&name=f";
    for (rights, status) in [
        (&[Right::Read][..], StatusCode::FORBIDDEN),
        (&[Right::Read, Right::Release], StatusCode::FORBIDDEN),
        (&[Right::Reply], StatusCode::CREATED),
    ] {
        let token = world.program(rights).await;
        let mut ask = Ask::new(Method::POST, &format!("/desk/v1/files?{query}"))
            .with("authorization", &format!("Bearer {token}"))
            .with("content-type", "application/octet-stream");
        ask.body = b"bytes".to_vec();
        assert_eq!(world.ask(ask).await.status, status, "{rights:?}");
    }
    let mut forged = Ask::new(Method::POST, &format!("/desk/v1/files?{query}"))
        .with("cookie", &cookie)
        .with("content-type", "application/octet-stream");
    forged.body = b"bytes".to_vec();
    assert_eq!(world.ask(forged.clone()).await.problem(), "cross-site");
    let forged = forged
        .with("branchline-console", "1")
        .with("origin", "https://elsewhere.example");
    assert_eq!(world.ask(forged).await.problem(), "cross-site");
    let nobody = Ask::new(Method::POST, &format!("/desk/v1/files?{query}"));
    assert_eq!(world.ask(nobody).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(known(&world).await, 1);
}
