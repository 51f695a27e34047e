//! `authority.json`: which root signs, which others count, and what agents were told of it.
//!
//! A rollover goes: `next` is made and told to the agents; it becomes `current`, and what was current
//! becomes `old`; `old` goes. Each step is one replacement of this file.

use std::path::Path;

use branchline_protocol::enrolment::{SignedTrust, TrustBundle};
use serde::{Deserialize, Serialize};

use super::{AuthorityError, folder};

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    /// The root that everything new comes from.
    pub(super) current: u32,
    /// The root that will be current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<u32>,
    /// The root whose certificates are still taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) old: Option<u32>,
    /// Names and addresses in the server's certificate; the first is the one people use.
    pub(super) names: Vec<String>,
    /// Whom agents are to trust.
    pub(super) trust: TrustBundle,
    /// The same as it was published; `None` where agents were only ever told at enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signed: Option<SignedTrust>,
}

impl Standing {
    /// Reads it; `None` where there is no authority yet.
    pub(super) fn read(authority: &Path) -> Result<Option<Self>, AuthorityError> {
        let path = authority.join(folder::STANDING);
        let bytes = match folder::read(&path) {
            Err(AuthorityError::Read { fault, .. })
                if fault.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            read => read?,
        };
        let standing: Self = serde_json::from_slice(&bytes)
            .map_err(|fault| AuthorityError::content(&path, fault.to_string()))?;
        if standing.trust.is_sound() && !standing.names.is_empty() {
            Ok(Some(standing))
        } else {
            let fault = "it names nobody to trust, too many, or no name of the server";
            Err(AuthorityError::content(&path, fault))
        }
    }

    /// Reads it where there must be one.
    pub(super) fn read_made(authority: &Path) -> Result<Self, AuthorityError> {
        Self::read(authority)?.ok_or_else(|| AuthorityError::Missing(authority.to_owned()))
    }

    /// Puts it in place.
    pub(super) fn write(&self, authority: &Path) -> Result<(), AuthorityError> {
        let path = authority.join(folder::STANDING);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|fault| AuthorityError::content(&path, fault.to_string()))?;
        text.push(b'\n');
        folder::write(&path, &text)
    }

    /// The roots that count, the current one first.
    pub(super) fn roots(&self) -> impl Iterator<Item = u32> + use<> {
        [Some(self.current), self.next, self.old]
            .into_iter()
            .flatten()
    }
}
