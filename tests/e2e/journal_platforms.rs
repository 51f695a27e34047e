//! A journal and its files' chunks move between Linux and Windows: what waited on the one is sent from the
//! other, after a kill, with nothing lost, twice or out of order.

use std::path::Path;

use branchline_protocol::id::AgentId;
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_until};
use harness::waiting::{FILE_PATIENCE, wait_within};
use harness::wine::{WineComputer, windows_agent};
use serde_json::Value;

/// The files that make up a journal, after a kill too; what is shared memory is left.
const FILES: [&str; 4] = [
    "journal.db",
    "journal.db-wal",
    "chunks.db",
    "chunks.db-journal",
];

fn move_data(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make the data folder");
    for name in FILES {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("copy the journal");
        }
    }
}

/// The agent on a Windows computer, with its data in `C:\moved`.
struct Windows {
    computer: WineComputer,
    program: String,
}

impl Windows {
    fn new() -> Self {
        let program = windows_agent();
        let computer = WineComputer::start();
        let folder = computer.drive_c().join("moved");
        std::fs::create_dir_all(&folder).expect("make its folder");
        let settings = "data_dir = 'C:\\moved\\data'\nsocket = '\\\\.\\pipe\\branchline-moved'\n";
        std::fs::write(folder.join("agent.toml"), settings).expect("write its settings");
        let program = computer.path_of(&program);
        Self { computer, program }
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [
            &[self.program.as_str(), "--config", r"C:\moved\agent.toml"],
            words,
        ]
        .concat()
    }

    fn cli(&self, words: &[&str]) -> String {
        succeeded(&self.computer.run(&self.words(words)))
    }

    fn status(&self) -> Option<Value> {
        let said = self.computer.run(&self.words(&["status", "--json"]));
        serde_json::from_str(&text(&said.stdout)).ok()
    }

    fn wait_drained(&self) {
        wait_within(FILE_PATIENCE, "the journal to drain on Windows", || {
            (self.status()?["waiting"] == 0).then_some(())
        });
    }

    fn data(&self) -> std::path::PathBuf {
        self.computer.drive_c().join("moved/data")
    }
}

/// The agent's id, as central knows it.
fn agent_of(central: &Central) -> String {
    let listed = succeeded(&central.cli(&["agent", "list", "--json"]));
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let agents = listed["agents"].as_array().or(listed.as_array());
    let agent = agents.expect("agents")[0]["agent"].as_str().expect("an id");
    agent.parse::<AgentId>().expect("an agent's id").to_string()
}

#[tokio::test]
async fn a_journal_goes_on_under_windows_and_comes_back() {
    let folder = sandbox();
    let mut central = Central::init(folder.path());
    let mut branch = Branch::join(folder.path(), &central, "LYN", central.address);
    branch.start();
    let first = branch.file("filed on Linux").await;
    let attached = folder.path().join("from-linux.log");
    std::fs::write(&attached, vec![b'l'; 3_000_000]).expect("write a file");
    branch.attach(&first.number.to_string(), &attached);
    branch.kill();

    let windows = Windows::new();
    move_data(&branch.data(), &windows.data());
    let said = windows.cli(&["queue", "verify"]);
    assert!(said.contains("sound"), "{said}");
    assert_eq!(
        windows.cli(&["queue", "list", "--json"]),
        succeeded(&branch.cli(&["queue", "list", "--json"]))
    );
    central.start();
    let agent = agent_of(&central);
    windows.cli(&["enroll", &central.token_for_agent(&agent)]);
    let running = windows.computer.start_program(&windows.words(&["run"]));
    windows.wait_drained();
    central.wait_file("from-linux.log", &["held"]);
    central.stop();

    let attached = windows.computer.drive_c().join("from-windows.log");
    std::fs::write(&attached, vec![b'w'; 3_000_000]).expect("write a file");
    windows.cli(&[
        "ticket",
        "new",
        "--subject",
        "filed on Windows",
        "--description",
        "x",
        "--category",
        "hardware",
        "--attach",
        r"C:\from-windows.log",
    ]);
    drop(running);

    let mut returned = Branch::strange(folder.path(), "LYN");
    returned.configure_as_enrolled("");
    move_data(&windows.data(), &returned.data());
    succeeded(&returned.cli(&["queue", "verify"]));
    central.start();
    succeeded(&returned.cli(&["enroll", &central.token_for_agent(&agent)]));
    returned.start();
    returned.wait_drained().await;
    central.wait_file("from-windows.log", &["held"]);
    central.assert_equal(&returned);
    let tickets = wait_until("the branch's list", || async {
        returned.client().tickets(None, 10).await.ok()
    })
    .await;
    let subjects: Vec<&str> = tickets
        .tickets
        .iter()
        .map(|ticket| ticket.subject.as_str())
        .collect();
    assert_eq!(subjects, ["filed on Windows", "filed on Linux"]);
}
