//! The agent's identity on real processes: power lost at each step of joining and renewing, tokens in each
//! place gone after use, offline beyond expiry and beyond the grace, and what is said meanwhile.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use branchline_agent_api::{ClientError, EnrolmentState, Status};
use branchline_protocol::problem::{ErrorClass, ProblemKind};
use harness::processes::{Branch, Central, sandbox, succeeded, ticket, wait_for, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::enrolment::agents;

const DAY: i64 = 24 * 3_600;
/// When every agent of a new certificate is due: two thirds of 90 days, a sixth of spread, and a day.
const RENEWED: i64 = 76 * DAY;
/// Where a replacement of the identity's file may be cut.
const FILE_STEPS: [&str; 5] = ["made", "written", "synced", "renamed", "replaced"];

fn file_steps(change: &str) -> impl Iterator<Item = String> {
    FILE_STEPS
        .map(|step| format!("identity-{change}-{step}"))
        .into_iter()
}

struct Scene {
    central: Central,
    branch: Branch,
    sandbox: TempDir,
}

impl Scene {
    /// Central, and a branch that has not joined.
    fn new() -> Self {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        central.start();
        let branch = Branch::strange(sandbox.path(), "LYN");
        branch.configure_as_enrolled("");
        Self {
            central,
            branch,
            sandbox,
        }
    }

    /// Runs the agent until it reaches a point, and takes its power away there.
    fn kill_at(&mut self, point: &str) {
        let held = self.sandbox.path().join("held");
        let _ = std::fs::remove_file(&held);
        let hold = format!("{point}={}", held.display());
        self.branch.set_environment("BRANCHLINE_HOLD_AT", &hold);
        self.branch.start();
        wait_for(point, || held.exists().then_some(()));
        self.branch.kill();
        self.branch.clear_environment();
    }

    async fn wait_status(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        let client = self.branch.client();
        wait_until(what, || async { client.status().await.ok().filter(&is_so) }).await
    }

    async fn wait_enrolled(&self) -> Status {
        self.wait_status("the agent to have joined", |status| {
            status.enrolment.state == EnrolmentState::Enrolled && status.branch.is_some()
        })
        .await
    }

    fn put_token(&self, token: &str) {
        std::fs::create_dir_all(self.branch.data()).expect("make the data folder");
        std::fs::write(self.token_file(), format!("{token}\r\n")).expect("write the token");
    }

    fn token_file(&self) -> PathBuf {
        self.branch.data().join("enrolment.token")
    }

    fn restart_at(&mut self, seconds: i64) {
        self.central.stop();
        self.central.set_clock(seconds);
        self.branch.set_clock(seconds);
        self.central.start();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_lost_at_any_step_of_joining_costs_no_use_and_leaves_nothing_behind() {
    let points: Vec<String> = file_steps("enrolment-key")
        .chain([
            "enrolment-asking".to_owned(),
            "enrolment-answered".to_owned(),
        ])
        .chain(file_steps("enrolled"))
        .collect();
    let mut scene = Scene::new();
    for point in points {
        let token = scene.central.token("LYN");
        let sandbox = tempfile::tempdir_in(scene.sandbox.path()).expect("a folder");
        scene.branch = Branch::strange(sandbox.path(), "LYN");
        scene.branch.configure_as_enrolled("");
        scene.put_token(&token);
        let before = agents(&scene.central).len();
        scene.kill_at(&point);
        scene.branch.start();
        scene.wait_enrolled().await;
        scene.branch.file(&point).await;
        scene.branch.wait_drained().await;
        wait_for("the token to be erased", || {
            (!scene.token_file().exists()).then_some(())
        });
        assert_eq!(agents(&scene.central).len(), before + 1, "{point}");
        let used = succeeded(&scene.central.cli(&["token", "list", "--json"]));
        let used: Vec<Value> = serde_json::from_str(&used).expect("JSON");
        assert_eq!(used[0]["used"], 1, "{point}");
        scene.central.assert_equal(&scene.branch);
        scene.branch.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_lost_at_any_step_of_renewing_leaves_one_usable_identity() {
    let mut scene = Scene::new();
    scene.put_token(&scene.central.token("LYN"));
    scene.branch.start();
    let mut until = scene.wait_enrolled().await.enrolment.certificate_until;
    scene.branch.stop();
    let asked = ["renewal-asking", "renewal-answered"].map(str::to_owned);
    let proved = ["renewal-proving", "renewal-proven"].map(str::to_owned);
    let points = file_steps("next-key")
        .chain(asked)
        .chain(file_steps("next-certificate"))
        .chain(proved)
        .chain(file_steps("proven"));
    let mut operations = 0;
    for (round, point) in (1..).zip(points) {
        scene.restart_at(round * RENEWED);
        scene.kill_at(&point);
        // Without central it starts and files all the same.
        scene.central.stop();
        scene.branch.start();
        scene.branch.file(&point).await;
        scene.central.start();
        operations += 1;
        let renewed = scene
            .wait_status("another certificate", |status| {
                status.enrolment.certificate_until > until
                    && status.enrolment.state == EnrolmentState::Enrolled
            })
            .await;
        until = renewed.enrolment.certificate_until;
        scene.branch.wait_drained().await;
        let said = scene.central.assert_equal(&scene.branch);
        assert!(
            said.contains(&format!("{operations} operations at central"))
                || said.contains(&format!("{operations} at central")),
            "{said}"
        );
        assert_eq!(agents(&scene.central).len(), 1, "{point}");
        scene.branch.stop();
    }
}

/// What of a token must be nowhere: its text, and its secret in every form that one might write.
fn traces(token: &str) -> Vec<Vec<u8>> {
    let coded = token.strip_prefix("blt1_").expect("a token");
    let bytes = URL_SAFE_NO_PAD.decode(coded).expect("base64");
    let secret = &bytes[..32];
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{secret:?}");
    vec![
        coded.as_bytes()[..40].to_vec(),
        secret.to_vec(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        STANDARD.encode(secret).into_bytes(),
        STANDARD_NO_PAD.encode(secret).into_bytes(),
        URL_SAFE_NO_PAD.encode(secret).into_bytes(),
        list.replace(' ', "").into_bytes(),
        list.into_bytes(),
    ]
}

fn assert_nowhere(traces: &[Vec<u8>], folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("list a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_nowhere(traces, &path);
        } else if let Ok(content) = std::fs::read(&path) {
            for trace in traces {
                let found = content.windows(trace.len()).any(|window| window == trace);
                assert!(
                    !found,
                    "{} has {:?}",
                    path.display(),
                    String::from_utf8_lossy(trace)
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_each_place_is_used_and_nothing_of_it_stays() {
    for place in [
        "data",
        "file",
        "configuration",
        "credential",
        "environment",
        "input",
    ] {
        let mut scene = Scene::new();
        let token = scene.central.token("LYN");
        let outside = tempfile::tempdir().expect("a folder");
        match place {
            "data" => scene.put_token(&token),
            "file" => {
                let path = scene.branch.folder().join("token.txt");
                std::fs::write(&path, &token).expect("write the token");
                scene
                    .branch
                    .configure_as_enrolled(&format!("enrolment_token_file = {path:?}"));
            }
            "configuration" => {
                let more = format!("enrolment_token = '{token}'\nretention_days = 7");
                scene.branch.configure_as_enrolled(&more);
            }
            "credential" => {
                std::fs::write(outside.path().join("enrolment-token"), &token).expect("write");
                let folder = outside.path().to_str().expect("a plain path");
                scene
                    .branch
                    .set_environment("CREDENTIALS_DIRECTORY", folder);
            }
            "environment" => {
                scene
                    .branch
                    .set_environment("BRANCHLINE_ENROLMENT_TOKEN", &token);
            }
            _ => {}
        }
        scene.branch.set_environment("RUST_LOG", "trace");
        scene.branch.start();
        if place == "input" {
            let output = scene
                .branch
                .cli_with_input(&["enroll", "-"], token.as_bytes());
            succeeded(&output);
        }
        scene.wait_enrolled().await;
        scene.branch.file("Joined").await;
        scene.branch.wait_drained().await;
        let traces = traces(&token);
        for said in [
            succeeded(&scene.branch.cli(&["status", "--json"])),
            succeeded(&scene.branch.cli(&["status"])),
            std::fs::read_to_string(format!("/proc/{}/cmdline", scene.branch.pid())).unwrap(),
        ] {
            assert!(
                !said
                    .as_bytes()
                    .windows(40)
                    .any(|window| window == traces[0]),
                "{place}"
            );
        }
        // At the next start nothing is left to do, and nothing is tried.
        scene.branch.stop();
        scene.branch.start();
        scene.wait_enrolled().await;
        scene.branch.stop();
        assert_nowhere(&traces, scene.branch.folder());
        assert_nowhere(&traces, scene.central.folder());
        let log = scene.branch.log();
        if matches!(place, "credential" | "environment") {
            assert!(log.contains("remove it"), "{place}: {log}");
        }
        if place == "configuration" {
            let left = std::fs::read_to_string(scene.branch.config()).unwrap();
            assert!(left.contains("retention_days = 7"), "{left}");
        }
        assert_eq!(agents(&scene.central).len(), 1, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_joining_it_says_so_and_needs_no_restart_afterwards() {
    let mut scene = Scene::new();
    scene.branch.start();
    let client = scene.branch.client();
    let status = scene.branch.status().await;
    assert_eq!(status.enrolment.state, EnrolmentState::NotEnrolled);
    assert_eq!((status.branch, status.stream), (None, None));
    let refused = client.file_ticket(&ticket("Too early")).await.unwrap_err();
    let ClientError::Problem(problem) = refused else {
        panic!("{refused}");
    };
    assert_eq!(
        (problem.kind, problem.class),
        (ProblemKind::Unavailable, ErrorClass::CallIt)
    );
    assert!(problem.detail.contains("not saved"), "{}", problem.detail);
    let said = succeeded(&scene.branch.cli(&["status"]));
    assert!(said.contains("not enrolled"), "{said}");
    // A token that is cut short is told so, in words, and not repeated.
    let token = scene.central.token("LYN");
    scene.put_token(&token[..60]);
    let status = scene
        .wait_status("the fault to be told", |status| {
            status.enrolment.trouble.is_some()
        })
        .await;
    let words = status.enrolment.trouble.expect("a trouble").words;
    assert!(
        words.contains("not whole") && !words.contains(&token[6..30]),
        "{words}"
    );
    scene.put_token(&token);
    scene.wait_enrolled().await;
    // The same connection, the same process.
    let saved = client
        .file_ticket(&ticket("In time"))
        .await
        .expect("it files now");
    assert_eq!(saved.number.to_string(), "LYN-000001");
    scene.branch.wait_drained().await;
    scene.central.assert_equal(&scene.branch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_beyond_expiry_it_renews_and_beyond_the_grace_it_joins_again_as_itself() {
    let mut scene = Scene::new();
    scene.put_token(&scene.central.token("LYN"));
    scene.branch.start();
    let joined = scene.wait_enrolled().await;
    scene.branch.file("With the first certificate").await;
    scene.branch.wait_drained().await;
    scene.branch.stop();
    // Three hundred days: expired for seven months, within the grace.
    scene.restart_at(300 * DAY);
    scene.branch.start();
    scene.branch.file("Back after a long time").await;
    let renewed = scene
        .wait_status("another certificate", |status| {
            status.enrolment.certificate_until > joined.enrolment.certificate_until
        })
        .await;
    scene.branch.wait_drained().await;
    scene.branch.stop();
    // Beyond it.
    scene.restart_at((300 + 90 + 401) * DAY);
    scene.branch.start();
    scene.branch.file("Back after a very long time").await;
    let refused = scene
        .wait_status("central to refuse it", |status| {
            status
                .last_error
                .as_ref()
                .is_some_and(|error| error.words.contains("longer ago"))
        })
        .await;
    assert_eq!(refused.waiting, 1);
    let agent = renewed.agent.expect("an agent").to_string();
    let token = scene.central.token_for_agent(&agent);
    succeeded(
        &scene
            .branch
            .cli_with_input(&["enroll", "-"], token.as_bytes()),
    );
    scene.branch.wait_drained().await;
    let status = scene.branch.status().await;
    assert_eq!((status.agent, status.stream), (joined.agent, joined.stream));
    let saved = scene.branch.file("As ever").await;
    assert_eq!(saved.number.to_string(), "LYN-000004");
    scene.branch.wait_drained().await;
    scene.central.assert_equal(&scene.branch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_does_not_go_on_under_the_identity_of_another() {
    let mut scene = Scene::new();
    scene.put_token(&scene.central.token("LYN"));
    scene.branch.start();
    scene.wait_enrolled().await;
    scene.branch.file("Ours").await;
    scene.branch.wait_drained().await;
    scene.branch.stop();
    let central = &scene.central;
    let other = Branch::join(scene.sandbox.path(), central, "PAR", central.address);
    let (own, theirs) = (scene.branch.data(), other.data());
    let name = "identity.json";
    std::fs::copy(own.join(name), own.join("kept.json")).expect("copy");
    std::fs::copy(theirs.join(name), own.join(name)).expect("copy");
    scene.branch.start();
    let saved = scene.branch.file("Still ours").await;
    assert_eq!(saved.number.to_string(), "LYN-000002");
    let status = scene
        .wait_status("it to be told", |status| status.enrolment.trouble.is_some())
        .await;
    assert_eq!(status.enrolment.state, EnrolmentState::NotEnrolled);
    assert_eq!(status.waiting, 1);
    // Put back while the agent runs: it goes on.
    std::fs::rename(own.join("kept.json"), own.join(name)).expect("put back");
    scene.branch.wait_drained().await;
    scene.central.assert_equal(&scene.branch);
}

/// Killed while the next anchors are being kept: they are told again, because the cursor has not moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_anchors_are_kept_before_the_feed_moves_on() {
    let mut scene = Scene::new();
    scene.put_token(&scene.central.token("LYN"));
    scene.branch.start();
    let before = scene.wait_enrolled().await.enrolment.trust;
    scene.branch.file("Before").await;
    scene.branch.wait_drained().await;
    scene.branch.stop();
    succeeded(&scene.central.cli(&["cert", "next-root"]));
    for point in [
        "identity-trust-made",
        "identity-trust-synced",
        "identity-trust-replaced",
    ] {
        scene.kill_at(point);
        if point == "identity-trust-replaced" {
            break;
        }
    }
    scene.branch.start();
    let after = scene
        .wait_status("the next anchors", |status| status.enrolment.trust > before)
        .await;
    assert!(after.enrolment.trust > before);
    succeeded(&scene.central.cli(&["cert", "switch"]));
    scene.central.kill();
    scene.central.start();
    scene.branch.file("Under the next root").await;
    scene.branch.wait_drained().await;
    scene.central.assert_equal(&scene.branch);
}
