//! Identities, settings and places that are none, taken or unreadable.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use harness::processes::{binary, succeeded, text, wait_until};

use crate::p02_exactly_once::copy_folder;

use super::{
    CALL_IT, FIX_INPUT, FOUND_SOMETHING, TRY_AGAIN, agent, assert_said, end, lonely, secret_of,
    start,
};

/// Filing goes on under the journal's own name; IT is told what to do, and nobody is shown the key.
#[tokio::test]
async fn an_identity_that_is_none_is_told_stops_nobody_and_shows_no_key() {
    let (_sandbox, mut central, mut branch) = lonely();
    central.start();
    branch.start();
    branch.file("With a good identity").await;
    branch.wait_drained().await;
    branch.kill();
    let path = branch.identity();
    let whole = fs::read_to_string(&path).expect("an identity");
    let secret = secret_of(&branch);
    let broken = [
        Vec::new(),
        vec![0xff, 0xfe],
        b"\0\x01\x02".to_vec(),
        format!("\"{secret}\"").into(),
        format!("{{\"{secret}\": 1}}").into(),
        whole[..whole.len() / 2].into(),
        whole.replace("\"ordinal\": 1", "\"ordinal\": \"x\"").into(),
        whole.replace(&secret, &secret.to_lowercase()).into(),
        whole.replace(&secret, &format!("{secret}{secret}")).into(),
        whole.replace("pkcs8:", "").into(),
    ];
    for (round, bytes) in broken.iter().enumerate() {
        let what = format!("{round}: {:.60}", text(bytes).replace(&secret, "…"));
        assert_ne!(bytes, whole.as_bytes(), "{what}");
        fs::write(&path, bytes).expect("write");
        branch.start();
        branch.file("Filed all the same").await;
        let client = branch.client();
        wait_until("the status to say so", || async {
            let status = client.status().await.ok()?;
            let said = serde_json::to_string(&status).ok()?;
            said.contains("damaged").then_some(())
        })
        .await;
        let doctor = branch.cli(&["doctor"]);
        assert_eq!(doctor.status.code(), Some(FOUND_SOMETHING), "{what}");
        let status = branch.cli(&["status"]);
        for said in [&doctor.stdout, &doctor.stderr, &status.stdout] {
            assert!(!text(said).contains(&secret), "{what}");
        }
        branch.kill();
    }
    assert!(!branch.log().contains(&secret));
    fs::write(&path, whole).expect("write");
    branch.start();
    branch.wait_drained().await;
    central.assert_equal(&branch);
}

/// Whoever can read it can speak for the branch. Filing goes on all the same, and IT is told.
#[tokio::test]
async fn an_identity_that_others_can_read_is_told_and_stops_nobody() {
    let (_sandbox, mut central, mut branch) = lonely();
    central.start();
    let path = branch.identity();
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        branch.start();
        branch.file("Filed all the same").await;
        branch.wait_drained().await;
        assert!(branch.log().contains("others than its owner"));
        let doctor = branch.cli(&["doctor"]);
        assert_eq!(doctor.status.code(), Some(FOUND_SOMETHING), "{mode:o}");
        assert!(
            text(&doctor.stdout).contains("others than its owner"),
            "{mode:o}"
        );
        branch.kill();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    branch.start();
    assert_eq!(branch.cli(&["doctor"]).status.code(), Some(0));
}

#[tokio::test]
async fn a_server_that_is_no_protected_address_is_told_and_stops_nobody() {
    let (_sandbox, mut central, mut branch) = lonely();
    let good = fs::read_to_string(branch.config()).expect("a configuration");
    let own = central.url();
    for server in [
        "",
        "127.0.0.1:8470",
        "http://127.0.0.1:8470",
        "http://10.0.0.1",
        "https://user:pass@127.0.0.1:1",
        "https://127.0.0.1:1/path",
        "https://127.0.0.1:1?a=b",
        "https://127.0.0.1:1#c",
        "https://127.0.0.1:99999",
        "https://",
        "https://[::1",
        "ftp://127.0.0.1",
        "unix:/run/x.sock",
        "file:///etc/passwd",
        "https://\\u001b[31m",
    ] {
        fs::write(branch.config(), good.replace(&own, server)).expect("write");
        branch.start();
        branch.file("Filed all the same").await;
        let client = branch.client();
        wait_until(&format!("the trouble with {server}"), || async {
            let status = client.status().await.ok()?;
            let said = serde_json::to_string(&status).ok()?;
            said.contains("central's address is https://").then_some(())
        })
        .await;
        branch.kill();
    }
    central.start();
    for server in [
        format!("{own}/"),
        format!(" {own} "),
        format!("{own}//"),
        own.replace("https://", "HTTPS:"),
    ] {
        fs::write(branch.config(), good.replace(&own, &server)).expect("write");
        branch.start();
        branch.file("Finds central all the same").await;
        branch.wait_drained().await;
        branch.kill();
    }
}

#[tokio::test]
async fn settings_files_that_cannot_be_read_are_named() {
    let (sandbox, _central, branch) = lonely();
    let odd = sandbox.path().join("odd.toml");
    let link = sandbox.path().join("loop.toml");
    std::os::unix::fs::symlink(&link, &link).expect("a loop");
    fs::write(&odd, [b's', 0xff]).expect("write");
    for path in [
        Path::new("/nowhere/agent.toml"),
        sandbox.path(),
        Path::new("/dev/zero"),
        &link,
        &odd,
    ] {
        for args in [
            &["run"][..],
            &["status"],
            &["ticket", "list"],
            &["queue", "list"],
        ] {
            let what = format!("{} {args:?}", path.display());
            let name = path.display().to_string();
            let output = agent(path).args(args).output().expect("run");
            assert_said(&output, CALL_IT, &[&name, "(call IT)"], &what);
        }
        let doctor = agent(path).arg("doctor").output().expect("run");
        assert_eq!(
            doctor.status.code(),
            Some(FOUND_SOMETHING),
            "{}",
            path.display()
        );
    }
    fs::set_permissions(branch.config(), fs::Permissions::from_mode(0o000)).expect("chmod");
    for folder in [sandbox.path(), branch.folder()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("let others pass");
    }
    let mut command = agent(&branch.config());
    // SAFETY: only asks who this process is.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65_534).gid(65_534);
    }
    match command.arg("status").output() {
        Ok(output) => assert_said(
            &output,
            CALL_IT,
            &["agent.toml", "ermission denied"],
            "not readable",
        ),
        Err(fault) => println!("another user may not run the programs here: {fault}"),
    }
}

#[test]
fn places_that_are_taken_or_cannot_be_are_named_and_left_alone() {
    let (sandbox, _central, branch) = lonely();
    let good = fs::read_to_string(branch.config()).expect("a configuration");
    let precious = sandbox.path().join("precious");
    fs::write(&precious, "not a socket").expect("write");
    let (data, socket) = (
        branch.data().display().to_string(),
        branch.socket().display().to_string(),
    );
    let precious_text = precious.display().to_string();
    let long = format!("{}/{}", sandbox.path().display(), "s".repeat(120));
    let below = format!("{precious_text}/below");
    let folder = branch.folder().display().to_string();
    for (key, from, to, words) in [
        ("data_dir", &data, precious_text.as_str(), "data_dir"),
        ("data_dir", &data, &below, "data_dir"),
        ("data_dir", &data, "", "whole path"),
        ("data_dir", &data, "data", "whole path"),
        ("data_dir", &data, "/proc/nowhere", "data_dir"),
        ("socket", &socket, &precious_text, "not a socket"),
        ("socket", &socket, &folder, "not a socket"),
        ("socket", &socket, &long, "SUN_LEN"),
        ("socket", &socket, &below, "listen on"),
        ("socket", &socket, "/proc/agent.sock", "listen on"),
        ("socket", &socket, "", "whole path"),
        ("socket", &socket, "agent.sock", "whole path"),
    ] {
        let what = format!("{key} = {to:.60}");
        let line = |value: &str| format!("{key} = {value:?}");
        fs::write(branch.config(), good.replace(&line(from), &line(to))).expect("write");
        assert_said(
            &branch.start_expecting_failure(),
            CALL_IT,
            &[words, "(call IT)"],
            &what,
        );
        assert_eq!(
            fs::read_to_string(&precious).expect("still there"),
            "not a socket",
            "{what}"
        );
    }
    let deep = sandbox.path().join("not/there/yet");
    fs::create_dir_all(deep.join("data")).expect("the folder of an agent that has joined");
    fs::copy(branch.identity(), deep.join("data/identity.json")).expect("copy the identity");
    let moved = good.replace(&socket, &format!("{}/agent.sock", deep.display()));
    fs::write(
        branch.config(),
        moved.replace(&data, &format!("{}/data", deep.display())),
    )
    .expect("write");
    let mut running = start(agent(&branch.config()).arg("run"));
    succeeded(&branch.cli(&["ticket", "new", "-s", "a", "-d", "b"]));
    end(&mut running);
}

#[test]
fn central_refuses_settings_and_ledgers_that_are_none() {
    let (sandbox, central, _branch) = lonely();
    let settings = central.folder().join("server.toml");
    for (text_of, words) in [
        ("lisen = 1", "unknown field `lisen`"),
        ("listen = 8470", "line 1"),
        ("listen = \"here\"", "line 1"),
        ("drain_seconds = -1", "line 1"),
        ("drain_seconds = 301", "drain_seconds"),
        ("log_format = \"xml\"", "unknown variant"),
        ("= =", "line 1"),
    ] {
        fs::write(&settings, text_of).expect("write");
        for args in [
            &["serve"][..],
            &["tickets", "list"],
            &["branch", "add", "PAR"],
            &["init"],
        ] {
            assert_said(
                &central.cli(args),
                FIX_INPUT,
                &["server.toml", words, "(fix the input)"],
                text_of,
            );
        }
    }
    fs::remove_file(&settings).expect("remove");
    let ledger = fs::read(central.folder().join("ledger.db")).expect("a ledger");
    let noise: Vec<u8> = (0..50_000).map(|_| fastrand::u8(..)).collect();
    for (what, bytes) in [
        ("noise", noise),
        ("text", b"no ledger".repeat(9_000)),
        ("cut off", ledger[..5_000].to_vec()),
    ] {
        let place = sandbox
            .path()
            .join(format!("central-{}", what.replace(' ', "-")));
        fs::create_dir(&place).expect("a folder");
        copy_folder(
            &central.folder().join("authority"),
            &place.join("authority"),
        );
        fs::write(place.join("ledger.db"), &bytes).expect("write");
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["tickets", "list"],
            &["branch", "add", "PAR"],
            &["init"],
        ] {
            let mut command = Command::new(binary("branchline-server"));
            let output = command
                .arg("--data-dir")
                .arg(&place)
                .args(args)
                .output()
                .expect("run");
            assert_said(
                &output,
                CALL_IT,
                &["ledger", "(call IT)"],
                &format!("{what} {args:?}"),
            );
            assert_eq!(
                fs::read(place.join("ledger.db")).expect("read"),
                bytes,
                "{what}: the file was changed"
            );
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_named() {
    let (_sandbox, _central, branch) = lonely();
    let good = fs::read_to_string(branch.config()).expect("a configuration");
    for (configuration, says) in [
        ("server = 7", "line 1"),
        ("server = \"x\"\nservre = 1", "unknown field `servre`"),
        ("not toml", "agent.toml"),
        (
            &format!("{good}journal_limit_mib = 0"),
            "journal_limit_mib = 0",
        ),
        (
            &format!("{good}retention_days = 99999"),
            "retention_days = 99999",
        ),
    ] {
        fs::write(branch.config(), configuration).expect("write");
        let output = branch.start_expecting_failure();
        assert_said(&output, CALL_IT, &[says, "(call IT)"], configuration);
    }
    fs::write(branch.config(), &good).expect("write");
    let output = branch.cli(&["status"]);
    assert_said(&output, TRY_AGAIN, &["does not answer"], "no agent");
}
