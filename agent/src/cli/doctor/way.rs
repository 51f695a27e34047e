//! From the name to the first answer: whose trouble it is where the way ends, and what to do.

use std::io;

use branchline_protocol::outcome::{Failure, Heard, Outcome, classify};
use branchline_protocol::problem::ErrorClass;
use serde_json::json;

use crate::config::Config;
use crate::link::ClockFinding;
use crate::link::proxy::{LinkSettings, NamedBy, Proxy, Route};
use crate::link::survey::{ProxyTrouble, Reached, Session, Survey, Unprotected};

use super::certificate::{self, Who};
use super::finding::{Finding, Report, bad, good, warning};
use super::measure;

pub(super) async fn examine(report: &mut Report, config: &Config) {
    let (who, server) = certificate::examine(report, config);
    let Some(server) = server else {
        let words =
            "nothing says where central is: there is no token, and no `server` in the settings";
        report.tell(
            bad("central", ErrorClass::CallIt, words)
                .advising("Ask central's IT for a token; it names central's address."),
        );
        return;
    };
    let (settings, fault) = LinkSettings::of(config);
    if let Some(fault) = fault {
        report.tell(
            bad("proxy", ErrorClass::CallIt, fault.to_string())
                .advising("Correct proxy_credentials_file, or what it names."),
        );
    }
    let survey = match Survey::new(&server, who.surveyor(), &settings) {
        Ok(survey) => survey,
        Err(fault) => {
            let advice = "Correct `server` in the settings, or leave it out.";
            report.tell(bad("central", ErrorClass::CallIt, fault.to_string()).advising(advice));
            return;
        }
    };
    take(report, &survey, &who).await;
}

/// The whole way, as far as it goes.
pub(super) async fn take(report: &mut Report, survey: &Survey, who: &Who) {
    report.tell(proxy(survey));
    if let Some(session) = approach(report, survey, who).await {
        measure::examine(report, survey, session).await;
    }
}

fn proxy(survey: &Survey) -> Finding {
    match survey.route() {
        Route::Direct => good("proxy", "none; the way to central is direct"),
        Route::DirectDespite(scheme) => warning(
            "proxy",
            ErrorClass::CallIt,
            format!("the system names one of the kind {scheme}://, which the agent does not speak"),
        )
        .advising("Set `proxy = \"http://host:port\"` in the settings, or `proxy = \"none\"`."),
        Route::Through(proxy) => {
            let named = match proxy.named_by {
                NamedBy::System => "named by the system",
                NamedBy::Configuration => "named in the settings",
            };
            let login = if proxy.has_credentials() {
                "with a user name and password"
            } else {
                "without a user name"
            };
            good("proxy", format!("{}, {named}, {login}", proxy.url())).fact("proxy", proxy.url())
        }
    }
}

/// Every step until central has answered once.
async fn approach(report: &mut Report, survey: &Survey, who: &Who) -> Option<Session> {
    let (hop, port) = survey.first_hop();
    report.doing(&format!("resolving {hop}"));
    let addresses = match survey.resolve().await {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return end(report, unresolved(survey, "it has no address")),
        Err(fault) => return end(report, unresolved(survey, &fault.to_string())),
    };
    let shown: Vec<String> = addresses.iter().map(|at| at.ip().to_string()).collect();
    let shown = shown.join(", ");
    let words = if survey.route().proxy().is_some() {
        format!("the proxy's name {hop} is {shown}; central's own is the proxy's to resolve")
    } else {
        format!("{hop} is {shown}")
    };
    report.tell(good("name", words).fact("addresses", shown));
    report.doing(&format!("connecting to {hop} port {port}"));
    let mut reached = match survey.reach(&addresses).await {
        Ok(reached) => reached,
        Err(fault) => return end(report, unreached(survey, &fault)),
    };
    report.tell(connection(survey, &reached));
    if survey.route().proxy().is_some() {
        report.doing("having the proxy connect to central");
        if let Err(trouble) = survey.tunnel(&mut reached).await {
            return end(report, untunnelled(survey, trouble));
        }
        report.tell(good("tunnel", "the proxy connects to central"));
    }
    report.doing("making TLS with central");
    let mut session = match survey.protect(reached).await {
        Ok(session) => session,
        Err(trouble) => return unprotected(report, survey, who, trouble).await,
    };
    report.tell(protected(&session));
    report.doing("asking central for its time");
    match session.tiny().await {
        Ok((_, at)) => {
            if let Some(at) = at {
                report.tell(clock(at, &session));
            }
            matches!(who, Who::Agent(_)).then_some(session)
        }
        Err(failure) => end(report, unanswered(failure)),
    }
}

fn end(report: &mut Report, finding: Finding) -> Option<Session> {
    report.tell(finding);
    None
}

fn unresolved(survey: &Survey, fault: &str) -> Finding {
    let (hop, _) = survey.first_hop();
    let whose = match survey.route().proxy() {
        Some(_) => "The proxy's name cannot be resolved",
        None => "Central's name cannot be resolved",
    };
    bad("name", ErrorClass::CallIt, format!("{whose}: {hop}: {fault}")).advising(
        "See that the name is spelled as it should be, and that this computer's name service answers.",
    )
}

fn unreached(survey: &Survey, fault: &io::Error) -> Finding {
    let (hop, port) = survey.first_hop();
    if let Some(proxy) = survey.route().proxy() {
        let words = format!("The proxy {} cannot be reached: {fault}", proxy.url());
        return bad("connection", ErrorClass::CallIt, words).advising(match proxy.named_by {
            NamedBy::System => {
                "Start it, correct the system's proxy settings, or set `proxy = \"none\"` if central can \
                 be reached without it."
            }
            NamedBy::Configuration => {
                "Start it, or correct `proxy` in the agent's settings (\"none\" where central can be \
                 reached without one)."
            }
        });
    }
    let words = format!("Central cannot be reached at {hop} port {port}: {fault}");
    bad("connection", ErrorClass::CallIt, words).advising(format!(
        "Central may be down, or a firewall may keep this computer from TCP port {port}: allow it \
         outward to {hop}."
    ))
}

fn connection(survey: &Survey, reached: &Reached) -> Finding {
    let who = match survey.route().proxy() {
        Some(_) => "the proxy",
        None => "central",
    };
    let millis = u64::try_from(reached.took.as_millis()).unwrap_or(u64::MAX);
    let words = format!(
        "{who} takes connections at {} after {millis} ms",
        reached.address
    );
    good("connection", words)
        .fact("address", reached.address.to_string())
        .fact("connect_millis", millis)
}

fn untunnelled(survey: &Survey, trouble: ProxyTrouble) -> Finding {
    let proxy = survey.route().proxy();
    let url = proxy.map_or_else(String::new, Proxy::url);
    let has_login = proxy.is_some_and(Proxy::has_credentials);
    let words = format!("The proxy {url} does not connect to central: {trouble}");
    let place = survey.host();
    let advice = match trouble {
        ProxyTrouble::Login if has_login => {
            "Correct user name and password in the file that proxy_credentials_file names."
                .to_owned()
        }
        ProxyTrouble::Login => {
            "Put `user:password` into a file that only the agent can read, and name it in \
             proxy_credentials_file; or let this computer through without."
                .to_owned()
        }
        ProxyTrouble::Refused(_) => {
            format!("Allow CONNECT to {place} in the proxy, and see that it can reach it.")
        }
        ProxyTrouble::NoProxy | ProxyTrouble::Closed | ProxyTrouble::Silent => {
            "See that `proxy` names the proxy's own port, and that it speaks HTTP.".to_owned()
        }
    };
    bad("tunnel", ErrorClass::CallIt, words).advising(advice)
}

fn protected(session: &Session) -> Finding {
    let version = session.tls_version.replace("TLSv1_", "TLS 1.");
    let millis = u64::try_from(session.handshake.as_millis()).unwrap_or(u64::MAX);
    let mut words = format!("{version}, after {millis} ms; whoever answers is central");
    let mut finding = good("TLS", "")
        .fact("version", session.tls_version.clone())
        .fact("handshake_millis", millis);
    if let Some(seen) = &session.seen {
        let until = seen.not_after.to_rfc3339();
        let until = until.get(..10).unwrap_or(&until);
        words = format!(
            "{words}; its certificate is from \"{}\", until {until}",
            seen.issuer
        );
        finding = finding.fact("issuer", seen.issuer.clone());
    }
    finding.words(words)
}

async fn unprotected(
    report: &mut Report,
    survey: &Survey,
    who: &Who,
    trouble: Unprotected,
) -> Option<Session> {
    let host = survey.host();
    let seen = trouble.seen.as_ref();
    let finding = match (trouble.failure, seen) {
        (Failure::NotCentral, Some(seen)) if matches!(who, Who::Nobody) => warning(
            "TLS",
            ErrorClass::CallIt,
            format!(
                "a server answers with a certificate from \"{}\"; whether it is central cannot be told \
                 before this computer has a token",
                seen.issuer
            ),
        )
        .advising("Ask central's IT for a token and run `branchline-agent enroll TOKEN`."),
        (Failure::NotCentral, Some(seen)) => bad(
            "TLS",
            ErrorClass::CallIt,
            format!(
                "Whoever answers is not central: it shows a certificate for {} from \"{}\". Something on \
                 the way opens TLS, such as a firewall or UTM, or {host} leads to another server",
                names(&seen.names),
                seen.issuer
            ),
        )
        .advising(format!(
            "Exempt {host} from TLS inspection (also called HTTPS scanning or SSL interception) in the \
             device of that name; nothing was sent to it."
        )),
        (Failure::WrongName, Some(seen)) => bad(
            "TLS",
            ErrorClass::CallIt,
            format!("Central's certificate is for {} and not for {host}", names(&seen.names)),
        )
        .advising(format!(
            "Call central by one of those names (`server` in the settings), or have central's \
             certificate made for {host} too."
        )),
        (Failure::OutsideValidity, _) => bad(
            "TLS",
            ErrorClass::CallIt,
            "Central's certificate is not valid at the time that this computer's clock shows",
        )
        .advising("See the finding on the clock."),
        (failure, _) => bad(
            "TLS",
            ErrorClass::CallIt,
            format!("{} ({})", words(failure), trouble.said),
        )
        .advising(format!(
            "Something on the way may not let TLS 1.3 pass, or what answers at {host} is no central: see \
             that the port is right, and that nothing on the way inspects or blocks it."
        )),
    };
    let finding = match seen {
        Some(seen) => finding
            .fact("seen_issuer", seen.issuer.clone())
            .fact("seen_names", json!(seen.names)),
        None => finding,
    };
    report.tell(finding);
    if trouble.failure == Failure::OutsideValidity {
        report.doing("asking central for its time");
        report.tell(whose_clock(survey).await);
    }
    None
}

fn names(names: &[String]) -> String {
    if names.is_empty() {
        "no name".to_owned()
    } else {
        names.join(", ")
    }
}

async fn whose_clock(survey: &Survey) -> Finding {
    let unknown = || {
        bad(
            "clock",
            ErrorClass::CallIt,
            "central's time could not be asked for",
        )
        .advising("Compare this computer's clock with another one.")
    };
    let Some(mut session) = survey.diagnose().await else {
        return unknown();
    };
    match session.tiny().await {
        Ok((_, Some(at))) => clock(at, &session),
        _ => unknown(),
    }
}

fn clock(central: branchline_protocol::time::UnixMillis, session: &Session) -> Finding {
    let here = crate::ids::now();
    let seconds = here.0.saturating_sub(central.0) / 1_000;
    let finding = match ClockFinding::of(central, session.seen.clone()) {
        Some(found @ ClockFinding::Differs { .. }) => {
            bad("clock", ErrorClass::CallIt, found.words())
                .advising("Turn on time synchronisation, and set the right time zone.")
        }
        Some(found @ ClockFinding::CertificateOutOfDate { .. }) => {
            bad("clock", ErrorClass::CallIt, found.words())
                .advising("Tell central's IT: `branchline-server cert status`.")
        }
        None => good(
            "clock",
            format!("within {} s of central's", seconds.abs().saturating_add(1)),
        ),
    };
    finding.fact("ahead_seconds", seconds)
}

fn unanswered(failure: Failure) -> Finding {
    let advice = match failure {
        Failure::CertificateRefused => {
            "Ask central's IT what became of this agent (`branchline-server agent show`); it may need a \
             token made for it."
        }
        _ => {
            "Run the doctor again; if that stays, something on the way cuts connections to central."
        }
    };
    let step = if failure == Failure::CertificateRefused {
        "certificate"
    } else {
        "HTTP"
    };
    bad(step, ErrorClass::CallIt, words(failure)).advising(advice)
}

/// The failure's own sentence, without its full stop.
pub(super) fn words(failure: Failure) -> String {
    match classify(Heard::Failed(failure)) {
        Outcome::Retry { trouble, .. } => trouble.words.trim_end_matches('.').to_owned(),
        _ => String::new(),
    }
}
