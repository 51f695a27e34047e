//! What branches are to go by: the catalogue and their bandwidth.

use branchline_protocol::desk::{Catalogue, Category, Localized};
use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::limits;

use super::joining::{branch, deed};
use crate::ledger::{CatalogueChange, Ledger, TrailFilter};

pub(crate) fn catalogue(serial: u64, codes: &[&str]) -> Catalogue {
    let named = |text: &str| Localized([("en".to_owned(), text.to_owned())].into());
    let category = |code: &&str| Category {
        code: (*code).to_owned(),
        name: named(code),
        hint: None,
        priority: None,
    };
    Catalogue {
        serial,
        categories: codes.iter().map(category).collect(),
        file_bytes: Some(7),
    }
}

async fn told(ledger: &impl Ledger, branch: &str) -> Vec<EventBody> {
    let page = ledger.feed(branch.parse().unwrap(), None).await.unwrap();
    page.events.iter().filter_map(Event::body).collect()
}

async fn actions(ledger: &impl Ledger) -> Vec<String> {
    let filter = TrailFilter {
        most: 100,
        ..TrailFilter::default()
    };
    let entries = ledger.trail(filter).await.unwrap();
    let of_branches = |action: &String| action != "branch-added";
    entries
        .into_iter()
        .map(|entry| entry.action)
        .filter(of_branches)
        .collect()
}

pub(crate) async fn the_catalogue_reaches_every_branch(ledger: &impl Ledger) {
    branch(ledger, "LYN").await;
    assert_eq!(ledger.catalogue().await.unwrap(), Catalogue::default());
    let change = async |seen, codes: &[&str]| {
        let deed = deed("catalogue-changed", "catalogue");
        ledger
            .change_catalogue(catalogue(seen, codes), deed)
            .await
            .unwrap()
    };
    assert_eq!(change(0, &["till"]).await, CatalogueChange::Done(1));
    assert_eq!(change(0, &["other"]).await, CatalogueChange::Stale(1));
    assert_eq!(change(2, &["other"]).await, CatalogueChange::Stale(1));
    assert!(matches!(
        change(1, &["A"]).await,
        CatalogueChange::Refused(_)
    ));
    assert_eq!(change(1, &["till", "web"]).await, CatalogueChange::Done(2));
    assert_eq!(
        ledger.catalogue().await.unwrap(),
        catalogue(2, &["till", "web"])
    );
    assert_eq!(actions(ledger).await, ["catalogue-changed"; 2]);
    // A branch that comes later hears what there is.
    branch(ledger, "PAR").await;
    branch(ledger, "PAR").await;
    let changed = |catalogue| EventBody::CatalogueChanged { catalogue };
    let both = [
        changed(catalogue(1, &["till"])),
        changed(catalogue(2, &["till", "web"])),
    ];
    assert_eq!(told(ledger, "LYN").await, both);
    assert_eq!(told(ledger, "PAR").await, both[1..]);
}

pub(crate) async fn a_catalogue_that_no_answer_could_carry_is_refused(ledger: &impl Ledger) {
    branch(ledger, "LYN").await;
    let mut large = catalogue(0, &[]);
    let languages: Vec<String> = ('a'..='g').map(|last| format!("x{last}")).collect();
    for number in 0..limits::CATEGORIES {
        let mut category = catalogue(0, &["x"]).categories.remove(0);
        category.code = format!("c{number}");
        let mut hint = Localized([("en".to_owned(), "x".repeat(limits::HINT_CHARS))].into());
        for language in &languages {
            hint.0
                .insert(language.clone(), "\u{1F5A8}".repeat(limits::HINT_CHARS));
        }
        category.hint = Some(hint);
        large.categories.push(category);
    }
    let answer = ledger.change_catalogue(large, deed("catalogue-changed", "catalogue"));
    let answer = answer.await.unwrap();
    assert!(matches!(answer, CatalogueChange::Refused(fault) if fault.field == "categories"));
    assert_eq!(told(ledger, "LYN").await, []);
}

pub(crate) async fn bandwidth_is_said_to_its_branch_alone(ledger: &impl Ledger) {
    branch(ledger, "LYN").await;
    branch(ledger, "PAR").await;
    let set = async |branch: &str, rate: Option<&str>| {
        let deed = deed("bandwidth-set", branch);
        let branch = branch.parse().unwrap();
        let set = ledger.set_bandwidth(branch, rate.map(str::to_owned), deed);
        set.await.unwrap()
    };
    assert!(set("LYN", None).await, "as it is");
    assert!(set("LYN", Some("1 MB/s")).await);
    assert!(set("LYN", Some("1 MB/s")).await);
    assert!(set("LYN", Some("2 MB/s")).await);
    assert!(!set("NCE", Some("1 MB/s")).await);
    let list = ledger.bandwidths().await.unwrap();
    assert_eq!(list, [("LYN".parse().unwrap(), "2 MB/s".to_owned())]);
    assert!(set("LYN", None).await);
    assert_eq!(ledger.bandwidths().await.unwrap(), []);
    let said = |serial, rate: Option<&str>| EventBody::BandwidthChanged {
        serial,
        rate: rate.map(str::to_owned),
    };
    let expected = [
        said(1, Some("1 MB/s")),
        said(2, Some("2 MB/s")),
        said(3, None),
    ];
    assert_eq!(told(ledger, "LYN").await, expected);
    assert_eq!(told(ledger, "PAR").await, []);
    assert_eq!(actions(ledger).await, ["bandwidth-set"; 3]);
}
