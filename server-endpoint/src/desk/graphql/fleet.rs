//! Branches and their agents as questions see them.

use async_graphql::{ID, SimpleObject};

use branchline_protocol::desk::{self, Localized};

use super::scalars::{Time, millis, number};
use super::tickets::Priority;
use crate::desk::branches::{AgentView, BranchView, Taken};

/// How branches are.
#[derive(SimpleObject)]
pub(crate) struct BranchList {
    /// When the ledger was last asked.
    as_of: Time,
    /// Those that need attention first.
    branches: Vec<Branch>,
}

/// A branch.
#[derive(SimpleObject)]
struct Branch {
    code: String,
    name: Option<String>,
    /// What it may use for files, where central says so.
    bandwidth: Option<String>,
    /// 0 where nothing is wrong; more is worse.
    attention: i32,
    agents: Vec<Agent>,
}

/// An agent, as it last said of itself.
#[derive(SimpleObject)]
struct Agent {
    id: ID,
    /// Which of the branch's agents.
    ordinal: i32,
    version: Option<String>,
    last_contact: Option<Time>,
    /// It was heard of a moment ago.
    connected: bool,
    /// By how many milliseconds its clock is ahead.
    clock_skew_ms: Option<f64>,
    /// Operations that wait at the branch.
    waiting: Option<f64>,
    /// Since when the oldest of them waits, by the branch's clock.
    oldest_waiting: Option<Time>,
    /// Bytes.
    disk_free: Option<f64>,
    /// Operations that it cannot read any more.
    damaged: Option<f64>,
    certificate_until: Option<Time>,
    revoked: bool,
    /// When central last refused to speak with it, where it was not heard since.
    refused_at: Option<Time>,
    /// What it was told then.
    refused_why: Option<String>,
    /// `damaged`, `certificate-expired`, `refused`, `silent`, `disk-low`, `certificate-ends`, `waiting-long`,
    /// `never-seen`, `clock-off`, `old-version`.
    troubles: Vec<String>,
}

impl From<&Taken> for BranchList {
    fn from(taken: &Taken) -> Self {
        Self {
            as_of: Time(taken.at),
            branches: taken.branches.iter().map(Branch::from).collect(),
        }
    }
}

impl From<&BranchView> for Branch {
    fn from(branch: &BranchView) -> Self {
        Self {
            code: branch.code.to_string(),
            name: branch.name.clone(),
            bandwidth: branch.bandwidth.clone(),
            attention: branch.attention,
            agents: branch.agents.iter().map(Agent::from).collect(),
        }
    }
}

impl From<&AgentView> for Agent {
    fn from(agent: &AgentView) -> Self {
        let record = &agent.record;
        let contact = record.contact.as_ref();
        let troubles = agent.troubles.iter().map(|trouble| trouble.as_str().into());
        Self {
            id: record.id.to_string().into(),
            ordinal: record.ordinal.into(),
            version: contact.map(|contact| contact.version.clone()),
            last_contact: contact.map(|contact| Time(contact.at)),
            connected: agent.connected,
            clock_skew_ms: contact.map(|contact| millis(contact.clock_skew)),
            waiting: contact.map(|contact| number(contact.waiting)),
            oldest_waiting: contact.and_then(|contact| contact.oldest_waiting).map(Time),
            disk_free: contact.and_then(|contact| contact.disk_free).map(number),
            damaged: contact.map(|contact| number(contact.damaged)),
            certificate_until: record.certificate_until.map(Time),
            revoked: record.revoked_at.is_some(),
            refused_at: record.refused.as_ref().map(|refused| Time(refused.at)),
            refused_why: record.refused.as_ref().map(|refused| refused.why.clone()),
            troubles: troubles.collect(),
        }
    }
}

/// What branches file by.
#[derive(SimpleObject)]
pub(crate) struct Catalogue {
    /// Grows with every change; what a change says that it saw.
    serial: f64,
    /// In the order in which people see them.
    categories: Vec<Category>,
    /// Bytes of a file that people may attach, where central says so.
    file_bytes: Option<f64>,
}

/// A kind of trouble that branches choose from.
#[derive(SimpleObject)]
struct Category {
    /// What tickets carry.
    code: String,
    /// What people read.
    names: Vec<Text>,
    /// What to write, below the form's text.
    hints: Vec<Text>,
    /// What the form begins with.
    priority: Option<Priority>,
}

/// A text in one language.
#[derive(SimpleObject)]
struct Text {
    /// Two letters.
    language: String,
    text: String,
}

impl From<&desk::Catalogue> for Catalogue {
    fn from(catalogue: &desk::Catalogue) -> Self {
        Self {
            serial: number(catalogue.serial),
            categories: catalogue.categories.iter().map(Category::from).collect(),
            file_bytes: catalogue.file_bytes.map(number),
        }
    }
}

impl From<&desk::Category> for Category {
    fn from(category: &desk::Category) -> Self {
        Self {
            code: category.code.clone(),
            names: texts(&category.name),
            hints: category.hint.as_ref().map(texts).unwrap_or_default(),
            priority: category
                .priority
                .map(|priority| Priority::of(priority.as_str())),
        }
    }
}

fn texts(localized: &Localized) -> Vec<Text> {
    let text = |(language, text): (&String, &String)| Text {
        language: language.clone(),
        text: text.clone(),
    };
    localized.0.iter().map(text).collect()
}
