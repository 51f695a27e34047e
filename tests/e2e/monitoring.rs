//! What `packaging/monitoring` has, against what a real central says of itself: no alert and no panel asks for
//! a metric, a label or a value that is not there, and Prometheus understands each question. With it, that
//! central keeps whom it refuses, and shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::debian;
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_for};
use harness::raw_http::{Place, Request};
use harness::tls;
use serde_json::{Value, json};

/// Not of central's: Prometheus has them itself.
const OTHERS: [&str; 1] = ["up"];

/// The labels of each series, by the metric's name.
type Scraped = BTreeMap<String, Vec<BTreeMap<String, String>>>;

/// What an expression asks for: a metric, and its selectors: label, how, value.
struct Asked {
    metric: String,
    selectors: Vec<(String, String, String)>,
}

fn packaged(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../packaging/monitoring")
        .join(file)
}

fn rules() -> String {
    std::fs::read_to_string(packaged("alerts.yaml")).expect("read the alert rules")
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(packaged("dashboard.json")).expect("read the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

/// Expressions, each with where it stands and the labels that are written out beside it.
fn expressions() -> Vec<(String, String, BTreeSet<String>)> {
    let mut all = Vec::new();
    for rule in rules().split("- alert: ").skip(1) {
        let name = rule.lines().next().expect("a name").to_owned();
        let expr = rule
            .lines()
            .find_map(|line| line.trim().strip_prefix("expr: "));
        let labels = between(rule, "$labels.", |c| !c.is_alphanumeric() && c != '_');
        all.push((name, expr.expect("an expression").to_owned(), labels));
    }
    for panel in dashboard()["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().expect("an expression");
            let expr = expr
                .replace("$__rate_interval", "5m")
                .replace("$branch", ".*");
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            let labels = between(legend, "{{", |c| c == '}');
            all.push((panel["title"].to_string(), expr, labels));
        }
    }
    all
}

fn between(text: &str, start: &str, ends: impl Fn(char) -> bool + Copy) -> BTreeSet<String> {
    let found = text.split(start).skip(1);
    let words = found.filter_map(|rest| rest.split(ends).next());
    words.map(|word| word.trim().to_owned()).collect()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn asked(expr: &str) -> Vec<Asked> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(place) = rest.find("branchline_") {
        let name = &rest[place..];
        let end = name.find(|c| !is_word(c)).unwrap_or(name.len());
        rest = &name[end..];
        let selectors = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let selectors = selectors.map_or("", |(selectors, _)| selectors);
        let parts = selectors.split(',').filter(|part| !part.is_empty());
        let selectors = parts.map(|part| {
            let label = part.trim().split(|c| !is_word(c)).next().expect("a label");
            let (how, value) = part.trim()[label.len()..].split_once('"').expect("a value");
            (
                label.to_owned(),
                how.to_owned(),
                value.trim_end_matches('"').to_owned(),
            )
        });
        found.push(Asked {
            metric: name[..end].to_owned(),
            selectors: selectors.collect(),
        });
    }
    found
}

fn scrape(central: &Central, token: &str) -> Scraped {
    let place = Place::Tls(central.desk, tls::client(&central.anchors(), None));
    let answer = Request::new("GET", "/metrics")
        .header("Host", &central.desk.to_string())
        .header("Authorization", &format!("Bearer {token}"))
        .ask(&place)
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut scraped = Scraped::new();
    let text = answer.text();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        value.parse::<f64>().expect("a number");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter(|it| !it.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once('=').expect("a label");
            (name.to_owned(), value.trim_matches('"').to_owned())
        });
        scraped
            .entry(name.to_owned())
            .or_default()
            .push(labels.collect());
    }
    scraped
}

/// What is asked for and not there.
fn missing(scraped: &Scraped) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, expr, shown) in expressions() {
        let asked = asked(&expr);
        let others = OTHERS.iter().any(|other| expr.contains(other));
        if asked.is_empty() && !others {
            faults.push(format!("{place} asks for nothing of ours: {expr}"));
        }
        let mut labels = BTreeSet::new();
        for asked in asked {
            let Some(series) = scraped.get(&asked.metric) else {
                faults.push(format!("{place}: there is no {}", asked.metric));
                continue;
            };
            labels.extend(series.iter().flat_map(BTreeMap::keys).cloned());
            for (label, how, value) in asked.selectors {
                let has =
                    |labels: &BTreeMap<String, String>| match (how.as_str(), labels.get(&label)) {
                        ("=", Some(is)) => *is == value,
                        (_, is) => is.is_some(),
                    };
                if !series.iter().any(has) {
                    faults.push(format!(
                        "{place}: no {}{{{label}{how}{value:?}}}",
                        asked.metric
                    ));
                }
            }
        }
        for by in between(&expr, "by (", |c| c == ')')
            .iter()
            .flat_map(|by| by.split(','))
        {
            if !labels.contains(by.trim()) {
                faults.push(format!("{place}: sums by {by}, which nothing there has"));
            }
        }
        for label in shown.difference(&labels) {
            faults.push(format!("{place}: shows {label}, which nothing there has"));
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_and_panels_ask_for_what_a_real_central_says() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let secret = sandbox.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("write the secret");
    central.configure(&format!(
        "[scanner]\nsocket = {:?}\n\
         [[service.goals]]\nfirst_answer = \"1m\"\n\
         [[outbox]]\nname = \"monitoring\"\nurl = \"http://127.0.0.1:9/hook\"\nsecret_file = {secret:?}\n\
         networks = [\"127.0.0.0/8\"]\n",
        sandbox.path().join("no-clamd"),
    ));
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    branch.file("Printer jams").await;
    branch.wait_drained().await;
    let token = succeeded(&central.cli(&["api-token", "create", "prometheus", "--right", "read"]));
    let token = token.trim().to_owned();
    // The scanner is found to be away, and the snapshot taken, within seconds.
    let mut faults = Vec::new();
    for _ in 0..60 {
        let scraped = scrape(&central, &token);
        faults = missing(&scraped);
        if faults.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // A name that is not there is found.
    let mut less = scrape(&central, &token);
    assert!(less.remove("branchline_ledger_up").is_some());
    assert!(!missing(&less).is_empty());
}

#[test]
fn prometheus_understands_each_expression() {
    let promtool = debian::program(&["/usr/bin/promtool"], "prometheus");
    let check = |rules: &Path| {
        let said = Command::new(&promtool)
            .args(["check", "rules"])
            .arg(rules)
            .output();
        said.expect("run promtool")
    };
    let said = check(&packaged("alerts.yaml"));
    assert!(
        said.status.success(),
        "{}{}",
        text(&said.stdout),
        text(&said.stderr)
    );
    // Panels' expressions, as rules.
    let sandbox = sandbox();
    let mut rules = "groups:\n- name: panels\n  rules:\n".to_owned();
    for (number, (_, expr, _)) in expressions().iter().enumerate() {
        let expr = json!(expr);
        rules += &format!("  - record: panel:{number}\n    expr: {expr}\n");
    }
    let path = sandbox.path().join("panels.yaml");
    std::fs::write(&path, &rules).expect("write rules");
    let said = check(&path);
    assert!(
        said.status.success(),
        "{}{}{rules}",
        text(&said.stdout),
        text(&said.stderr)
    );
    std::fs::write(
        &path,
        rules.replace("panel:0\n    expr: \"", "panel:0\n    expr: \"sum(("),
    )
    .expect("write");
    assert!(
        !check(&path).status.success(),
        "what cannot be read is found"
    );
}

#[test]
fn an_agent_that_is_refused_is_shown_with_why_until_it_is_heard() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let member = central.enrol_by_hand("LYN");
    let token = succeeded(&central.cli(&["api-token", "create", "tests", "--right", "read"]));
    let agents = || {
        let place = Place::Tls(central.desk, tls::client(&central.anchors(), None));
        let question = json!({ "query": "{ branches { branches { attention agents { troubles refusedAt refusedWhy } } } }" });
        let answer = Request::new("POST", "/desk/v1/graphql")
            .header("Host", &central.desk.to_string())
            .header("Authorization", &format!("Bearer {}", token.trim()))
            .header("Branchline-Console", "1")
            .json(question.to_string())
            .ask(&place)
            .expect("an answer");
        answer.json()["data"]["branches"]["branches"][0]["agents"][0].clone()
    };
    let submit = |version: &str| {
        let request = Request::new("POST", "/v1/operations")
            .header("Host", "localhost")
            .header("Branchline-Protocol", version);
        request
            .json("{}".to_owned())
            .ask(&member.place(central.address))
            .expect("an answer")
            .status
    };
    assert_eq!(submit("99"), 400);
    let refused = wait_for("the refusal to be shown", || {
        let agent = agents();
        agent["refusedWhy"].is_string().then_some(agent)
    });
    assert!(
        refused["refusedWhy"]
            .as_str()
            .expect("why")
            .contains("version"),
        "{refused}"
    );
    let troubles = refused["troubles"].to_string();
    assert!(troubles.contains("refused"), "{troubles}");
}

/// What a container's health check asks.
#[test]
fn the_server_says_whether_it_takes_what_branches_send() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let listen = central.address.to_string();
    let ask = |central: &Central| central.cli(&["ready", "--listen", &listen]);
    let said = ask(&central);
    assert_eq!(said.status.code(), Some(75), "{said:?}");
    assert!(text(&said.stderr).contains("is not ready"), "{said:?}");
    central.start();
    assert!(succeeded(&ask(&central)).contains("takes what branches send"));

    // Another central's certificate is no proof, and one that hangs is not waited for.
    let mut other = Central::init(&sandbox.path().join("other"));
    other.start();
    let place = other.address.to_string();
    let said = central.cli(&["ready", "--listen", &place]);
    assert_eq!(said.status.code(), Some(75), "{said:?}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let place = silent.local_addr().expect("an address").to_string();
    let said = central.cli(&["ready", "--listen", &place]);
    assert_eq!(said.status.code(), Some(75), "{said:?}");
}
