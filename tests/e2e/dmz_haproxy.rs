//! A real reverse proxy in the DMZ: an agent joins, files, sends a file, renews and is revoked through an
//! HAProxy that ends TLS and passes the certificate on (RFC 9440).

use branchline_protocol::exchange::{PROTOCOL_VERSION, VERSION_HEADER};
use harness::haproxy::HaProxy;
use harness::processes::{Branch, Central, sandbox, succeeded, wait_for};
use harness::raw_http::{Place, Request};
use harness::samples::incompressible;
use harness::tls;
use harness::waiting::{FILE_PATIENCE, wait_within};

use crate::enrolment::agents;

/// Seconds after which every agent of a new certificate is due: two thirds of 90 days, a sixth of spread, and
/// a day.
const RENEWED: i64 = 76 * 86_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_an_agent_does_goes_through_a_proxy_that_ends_tls() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let proxy = HaProxy::start(sandbox.path(), &central);
    central.configure(&format!(
        "[authority]\nurl = \"https://{}\"\n",
        proxy.address()
    ));
    central.start();
    let mut branch = Branch::strange(sandbox.path(), "LYN");
    branch.configure_as_enrolled("");
    // The token names the proxy's address: nothing goes around it.
    succeeded(&branch.cli(&["enroll", &central.token("LYN")]));
    branch.start();
    let number = branch.file("Through the DMZ").await.number.to_string();
    let path = sandbox.path().join("till.bin");
    incompressible(&path, 3_000_000, 5);
    branch.attach(&number, &path);
    branch.wait_drained().await;
    central.wait_file("till.bin", &["held"]);
    central.assert_equal(&branch);
    let log = central.log();
    assert!(!log.contains("ERROR"), "{log}");

    let before = certificate(&central);
    branch.stop();
    central.kill();
    // The proxy's clock stays, and it leaves dates to central.
    central.set_clock(RENEWED);
    branch.set_clock(RENEWED);
    central.start();
    branch.start();
    wait_within(FILE_PATIENCE, "the next certificate to be used", || {
        (certificate(&central) != before).then_some(())
    });

    let id = agents(&central)[0]["agent"]
        .as_str()
        .expect("an id")
        .to_owned();
    succeeded(&central.cli(&["agent", "revoke", &id]));
    branch.file("After the revocation").await;
    wait_for("the branch to hear of it", || {
        let status = succeeded(&branch.cli(&["status", "--json"]));
        status.contains("\"refused\"").then_some(())
    });
}

fn certificate(central: &Central) -> String {
    agents(central)[0]["certificate_until"].to_string()
}

/// What anybody says in `Client-Cert` goes no further than the proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_an_agent_through_the_proxy() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let member = central.enrol_by_hand("LYN");
    let proxy = HaProxy::start(sandbox.path(), &central);
    let field = harness::identity::client_cert(&member.credentials.chain[0]);
    let nobody = Place::Tls(proxy.address(), tls::client(&central.anchors(), None));
    let own = Place::Tls(proxy.address(), member.client(Some(&member.credentials)));
    let ask = |place: &Place, claims: bool| {
        let mut request = Request::new("GET", "/v1/feed?after=&wait=0")
            .header(VERSION_HEADER, &PROTOCOL_VERSION.to_string());
        if claims {
            request = request.header("Client-Cert", &field);
        }
        request.ask(place).expect("an answer").status
    };
    assert_eq!(ask(&own, false), 200);
    assert_eq!(ask(&own, true), 200);
    assert_eq!(ask(&nobody, false), 401);
    assert_eq!(ask(&nobody, true), 401);
}
