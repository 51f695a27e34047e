//! The outbox on real processes: a receiver hears of every ticket through kills of central, what it refuses
//! is listed and sent again, and the secret is in no log.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use harness::processes::{Branch, Central, sandbox, succeeded, wait_for};
use serde_json::Value;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TICKETS: usize = 40;

/// Somebody outside who answers each letter with one status.
struct Receiver {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let status = Arc::new(AtomicU16::new(204));
        let heard = Arc::<Mutex<Vec<Value>>>::default();
        let (says, record) = (status.clone(), heard.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (says, record) = (says.clone(), record.clone());
                std::thread::spawn(move || while hear(&client, &says, &record).is_some() {});
            }
        });
        Self {
            address,
            status,
            heard,
        }
    }

    fn heard(&self) -> Vec<Value> {
        self.heard.lock().expect("heard").clone()
    }

    /// The tickets whose filing was heard of.
    fn tickets(&self) -> BTreeSet<String> {
        let heard = self.heard();
        let filed = heard
            .iter()
            .filter(|letter| letter["type"] == "ticket_filed");
        filed
            .map(|letter| {
                letter["data"]["ticket"]
                    .as_str()
                    .expect("a number")
                    .to_owned()
            })
            .collect()
    }
}

fn hear(client: &TcpStream, status: &AtomicU16, heard: &Mutex<Vec<Value>>) -> Option<()> {
    let mut reader = BufReader::new(client);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_lowercase();
        if let Some(given) = line.strip_prefix("content-length:") {
            length = given.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let letter = serde_json::from_slice(&body).expect("a letter is JSON");
    heard.lock().expect("heard").push(letter);
    let status = status.load(Ordering::SeqCst);
    let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
    (&mut &*client).write_all(answer.as_bytes()).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_systems_hear_of_everything_through_kills_and_what_they_refuse_is_kept() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let receiver = Receiver::start();
    let secret = sandbox.path().join("secret");
    std::fs::write(&secret, SECRET).expect("write the secret");
    central.configure(&format!(
        "[[outbox]]\nname = \"monitoring\"\nurl = \"http://{}/hook\"\nsecret_file = {secret:?}\n\
         networks = [\"127.0.0.0/8\"]\n",
        receiver.address
    ));
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    wait_for("the outside system to be known", || {
        status(&central).contains("\"good\"").then_some(())
    });
    let mut filed = BTreeSet::new();
    for ticket in 0..TICKETS {
        filed.insert(
            branch
                .file(&format!("Ticket {ticket}"))
                .await
                .number
                .to_string(),
        );
        if ticket % 8 == 7 {
            central.kill();
            central.start();
        }
    }
    branch.wait_drained().await;
    wait_for("all to be heard of", || {
        (receiver.tickets() == filed).then_some(())
    });

    receiver.status.store(422, Ordering::SeqCst);
    let refused = branch.file("Not wanted outside").await.number.to_string();
    let dead = wait_for("the letter to be given up", || {
        let dead: Value = listed(&central, &["outbox", "dead", "--json"]);
        (!dead.as_array()?.is_empty()).then_some(dead)
    });
    assert_eq!(dead[0]["kind"], "ticket_filed");
    assert!(dead[0]["body"].as_str().expect("a body").contains(&refused));
    let before = receiver.heard().len();
    receiver.status.store(204, Ordering::SeqCst);
    succeeded(&central.cli(&["outbox", "replay", "monitoring", "--all"]));
    wait_for("it to be sent again", || {
        (receiver.heard().len() > before).then_some(())
    });
    wait_for("it to be dead no more", || {
        let dead = listed(&central, &["outbox", "dead", "--json"]);
        dead.as_array()?.is_empty().then_some(())
    });
    let nobodys = central.cli(&["outbox", "replay", "monitoring", "1"]);
    assert_eq!(nobodys.status.code(), Some(2));
    assert!(
        !central.log().contains(&SECRET[6..]),
        "the secret is in the log"
    );
}

fn status(central: &Central) -> String {
    succeeded(&central.cli(&["outbox", "status", "--json"]))
}

fn listed(central: &Central, command: &[&str]) -> Value {
    serde_json::from_str(&succeeded(&central.cli(command))).expect("JSON")
}
