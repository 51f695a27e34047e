//! The tables, and what a file says of itself.

use rusqlite::Connection;

use super::ReadModelError;

/// Of the tables below, and of what is written into them. A file of another version is not read.
const VERSION: i64 = 4;

const TABLES: &str = "
    CREATE TABLE self (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        -- Behind the last event that is in here.
        cursor TEXT NOT NULL,
        -- It has caught up with the ledger once.
        whole INTEGER NOT NULL,
        -- The goals by which tickets' dues are counted.
        goals TEXT NOT NULL DEFAULT '',
        -- They are new; tickets up to this row are counted by them. NULL: all are.
        counted_to INTEGER
    ) STRICT;
    INSERT INTO self (one, cursor, whole) VALUES (1, '', 0);

    -- A ticket's row has the position of its filing: newer ones have higher ones, for ever.
    CREATE TABLE tickets (
        ticket INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        number TEXT NOT NULL,
        branch TEXT NOT NULL,
        state TEXT NOT NULL,
        priority TEXT NOT NULL,
        category TEXT NOT NULL,
        subject TEXT NOT NULL,
        description TEXT NOT NULL,
        reporter TEXT NOT NULL,
        contact TEXT NOT NULL,
        asset TEXT,
        filed_at TEXT NOT NULL,
        received_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        -- The position of the last event on it that a person should have seen.
        version INTEGER NOT NULL,
        comments INTEGER NOT NULL DEFAULT 0,
        replies INTEGER NOT NULL DEFAULT 0,
        files INTEGER NOT NULL DEFAULT 0,
        -- An operator; NULL: nobody.
        assignee TEXT,
        -- Sorted, one below the other.
        tags TEXT NOT NULL DEFAULT '',
        -- By central's clock; NULL: not yet, or not any more.
        first_answered_at INTEGER,
        resolved_at INTEGER,
        -- By when, counted from when central had it, and from when it was filed; NULL: nothing is due.
        answer_due INTEGER,
        resolution_due INTEGER,
        answer_due_filed INTEGER,
        resolution_due_filed INTEGER,
        -- The clock of the resolution stands still.
        paused INTEGER NOT NULL DEFAULT 0,
        -- What is to be done first, by the clock that counts.
        due_at INTEGER,
        -- The ticket that goes on in its place.
        merged_into INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX tickets_by_number ON tickets (number);
    CREATE INDEX tickets_by_branch ON tickets (branch, ticket);
    CREATE INDEX tickets_by_state ON tickets (state, ticket);
    CREATE INDEX tickets_by_branch_state ON tickets (branch, state, ticket);
    CREATE INDEX tickets_by_priority ON tickets (priority, ticket);
    CREATE INDEX tickets_by_category ON tickets (category, ticket);
    CREATE INDEX tickets_by_assignee ON tickets (assignee, ticket) WHERE assignee IS NOT NULL;
    CREATE INDEX tickets_by_due ON tickets (due_at, ticket) WHERE due_at IS NOT NULL;
    CREATE INDEX tickets_merged ON tickets (merged_into) WHERE merged_into IS NOT NULL;

    CREATE TABLE tags (
        tag TEXT NOT NULL,
        ticket INTEGER NOT NULL,
        PRIMARY KEY (tag, ticket)
    ) WITHOUT ROWID, STRICT;

    -- What happened on a ticket after its filing, in order.
    CREATE TABLE timeline (
        ticket INTEGER NOT NULL,
        position INTEGER NOT NULL,
        at INTEGER NOT NULL,
        -- By the branch's clock, where a branch said it.
        said_at TEXT,
        kind TEXT NOT NULL,
        who TEXT NOT NULL,
        said TEXT NOT NULL,
        PRIMARY KEY (ticket, position)
    ) WITHOUT ROWID, STRICT;

    CREATE TABLE files (
        file INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        ticket INTEGER NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        state TEXT NOT NULL,
        -- A signature, or who released it and why.
        detail TEXT
    ) STRICT;
    CREATE INDEX files_by_ticket ON files (ticket, file);

    -- Files that went with a reply to its branch.
    CREATE TABLE reply_files (
        ticket INTEGER NOT NULL,
        position INTEGER NOT NULL,
        place INTEGER NOT NULL,
        id BLOB NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        -- What became of one that central gave, since it was offered; NULL: nothing.
        state TEXT,
        detail TEXT,
        PRIMARY KEY (ticket, position, place)
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX reply_files_by_id ON reply_files (id);

    -- Tickets of each branch in each state.
    CREATE TABLE tally (
        branch TEXT NOT NULL,
        state TEXT NOT NULL,
        tickets INTEGER NOT NULL,
        PRIMARY KEY (branch, state)
    ) WITHOUT ROWID, STRICT;

    -- One document per ticket, under the ticket's row. The text itself stands above. People search while they
    -- type: what begins with the same two or three letters has a list of its own, and is not put together
    -- for each question (a third of the time at worst; building takes twice as long).
    CREATE VIRTUAL TABLE search USING fts5 (
        number, subject, said, people, branch, files,
        content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
    );
";

/// What a file says of itself.
pub(super) struct Said {
    /// Behind the last event in it; `None` at the very beginning.
    pub(super) cursor: Option<String>,
    /// It has caught up with the ledger once, and may be the one in use.
    pub(super) whole: bool,
}

/// Makes the tables where there are none.
pub(super) fn prepare(connection: &mut Connection, goals: &str) -> Result<Said, ReadModelError> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(super::changes::TABLE)?;
            transaction.execute("UPDATE self SET goals = ?1", [goals])?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        VERSION => super::due::take_goals(connection, goals)?,
        _ => return Err(ReadModelError::Damaged("another version's".to_owned())),
    }
    let said = connection.query_row("SELECT cursor, whole FROM self", [], |row| {
        Ok(Said {
            cursor: Some(row.get(0)?).filter(|cursor: &String| !cursor.is_empty()),
            whole: row.get(1)?,
        })
    })?;
    Ok(said)
}

pub(super) fn mark_whole(connection: &Connection) -> Result<(), ReadModelError> {
    connection.execute("UPDATE self SET whole = 1", [])?;
    Ok(())
}

pub(super) fn keep_cursor(connection: &Connection, cursor: &str) -> Result<(), ReadModelError> {
    connection
        .prepare_cached("UPDATE self SET cursor = ?1")?
        .execute([cursor])?;
    Ok(())
}
