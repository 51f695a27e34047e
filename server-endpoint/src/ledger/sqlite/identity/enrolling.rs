//! Joining, as one job of the writer: the token, the repeat, the journal that is already there, the use.

use branchline_protocol::enrolment::JournalOf;
use branchline_protocol::id::{AgentId, BranchCode, Digest};
use rusqlite::{Connection, OptionalExtension, params};

use super::{ending, tokens, trail};
use crate::ledger::sqlite::agents::{self, Joining};
use crate::ledger::sqlite::columns::{to_integer, unfit};
use crate::ledger::{Actor, AgentRecord, Deed, Enrol, Enrolled, LedgerError, TokenFor};

pub(super) fn enrol(connection: &Connection, enrol: Enrol) -> Result<Enrolled, LedgerError> {
    let Some(token) = tokens::find(connection, enrol.token)? else {
        return Ok(Enrolled::UnknownToken);
    };
    if token.revoked {
        return Ok(match token.purpose {
            TokenFor::Agent(id) if was_revoked(connection, id)? => Enrolled::Revoked,
            _ => Enrolled::UnknownToken,
        });
    }
    // A repeat first: it holds whatever became of the token by its own doing.
    if let Some(before) = find(connection, token.number, enrol.key)? {
        return before.again(connection);
    }
    if token.expires_at <= enrol.at {
        return Ok(Enrolled::Expired);
    }
    if token.used >= token.uses {
        return Ok(Enrolled::UsedUp);
    }
    let joined = match token.purpose {
        TokenFor::Agent(id) => as_itself(connection, id, &enrol)?,
        TokenFor::Branch(branch) => into_branch(connection, branch, &enrol)?,
    };
    let (row, agent, action) = match joined {
        Ok(joined) => joined,
        Err(reason) => return Ok(Enrolled::OtherJournal(reason)),
    };
    tokens::take_use(connection, token.number)?;
    connection
        .prepare_cached("INSERT INTO enrolments (token, key, agent, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            to_integer(token.number),
            enrol.key.0,
            row,
            enrol.at.0
        ])?;
    let deed = Deed {
        actor: Actor::Bearer(enrol.address.clone()),
        action,
        subject: agent.id.to_string(),
        detail: format!(
            "as agent {} of {}, by token {}",
            agent.ordinal, agent.branch, token.number
        ),
        address: Some(enrol.address),
        at: enrol.at,
    };
    trail::add(connection, &deed)?;
    Ok(Enrolled::Agent(agent))
}

/// An enrolment of before.
pub(super) struct Enrolment {
    pub(super) agent: i64,
    pub(super) ended: bool,
}

pub(super) fn find(
    connection: &Connection,
    token: u64,
    key: Digest,
) -> Result<Option<Enrolment>, LedgerError> {
    Ok(connection
        .prepare_cached("SELECT agent, ended FROM enrolments WHERE token = ?1 AND key = ?2")?
        .query_row(params![to_integer(token), key.0], |row| {
            Ok(Enrolment {
                agent: row.get(0)?,
                ended: row.get(1)?,
            })
        })
        .optional()?)
}

impl Enrolment {
    fn again(&self, connection: &Connection) -> Result<Enrolled, LedgerError> {
        if self.ended {
            return Ok(Enrolled::Revoked);
        }
        let agent = agents::of_row(connection, self.agent)?;
        Ok(agent.map_or(Enrolled::Revoked, Enrolled::Agent))
    }
}

fn was_revoked(connection: &Connection, id: AgentId) -> Result<bool, LedgerError> {
    Ok(agents::find(connection, id)?.is_some_and(|agent| agent.revoked_at.is_some()))
}

/// Who joined, and what the trail calls it; or why not, for people.
type Joined = Result<(i64, AgentRecord, &'static str), String>;

/// An agent that central knows joins again; what it had before ends.
fn as_itself(connection: &Connection, id: AgentId, enrol: &Enrol) -> Result<Joined, LedgerError> {
    let row = tokens::agent_row(connection, id)?.ok_or_else(|| unfit("a token's agent"))?;
    let Some(agent) = agents::find(connection, id)? else {
        return Err(unfit("a token's agent"));
    };
    if let Some(journal) = enrol.journal_of.as_ref().filter(|of| of.agent != id) {
        return Ok(Err(format!(
            "this token is for agent {} of {}, and this machine has the journal of agent {} of {}; \
             use a token that was made for that agent, or join with an empty data folder",
            agent.ordinal, agent.branch, journal.ordinal, journal.branch
        )));
    }
    ending::end_for_another(connection, row, enrol.at)?;
    let agent = agents::of_row(connection, row)?.ok_or_else(|| unfit("a token's agent"))?;
    Ok(Ok((row, agent, "agent-enrolled-again")))
}

/// A branch's token makes a new agent. It makes one that has a journal only where central has lost that
/// agent: whoever holds it must not become an agent that exists.
fn into_branch(
    connection: &Connection,
    branch: BranchCode,
    enrol: &Enrol,
) -> Result<Joined, LedgerError> {
    let (id, ordinal, action) = match &enrol.journal_of {
        None => {
            let ordinal = agents::free_ordinal(connection, &branch)?;
            (enrol.candidate, ordinal, "agent-enrolled")
        }
        Some(journal) => {
            if let Some(reason) = why_not(connection, &branch, journal)? {
                return Ok(Err(reason));
            }
            (
                journal.agent,
                journal.ordinal,
                "agent-enrolled-from-journal",
            )
        }
    };
    let joining = Joining {
        id,
        branch,
        ordinal,
        at: enrol.at,
    };
    let (row, agent) = agents::add(connection, joining)?;
    Ok(Ok((row, agent, action)))
}

fn why_not(
    connection: &Connection,
    branch: &BranchCode,
    journal: &JournalOf,
) -> Result<Option<String>, LedgerError> {
    if let Some(known) = agents::find(connection, journal.agent)? {
        return Ok(Some(format!(
            "this machine has the journal of agent {ordinal} of {code}, which joins again only with a \
             token made for it: `branchline-server token create --agent {code}{number}`",
            ordinal = known.ordinal,
            code = known.branch,
            number = if known.ordinal == 1 {
                String::new()
            } else {
                known.ordinal.to_string()
            },
        )));
    }
    if journal.branch != *branch {
        return Ok(Some(format!(
            "this machine has the journal of an agent of {}, and this token is for {branch}; use a token \
             for {}, or join with an empty data folder",
            journal.branch, journal.branch
        )));
    }
    let taken = journal.ordinal == 0
        || connection
            .prepare_cached("SELECT 1 FROM agents WHERE branch = ?1 AND ordinal = ?2")?
            .exists(params![branch.as_str(), journal.ordinal])?;
    Ok(taken.then(|| {
        format!(
            "this machine has the journal of agent {} of {branch}, and another agent has that place by \
             now; export what waits in the journal, and join with an empty data folder",
            journal.ordinal
        )
    }))
}
