-- What central made of a ticket; NULL where it is as it was filed, or nobody said so.
-- The position of the last event on it that a person should have seen.
ALTER TABLE tickets ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tickets ADD COLUMN assignee TEXT;
ALTER TABLE tickets ADD COLUMN priority TEXT;
ALTER TABLE tickets ADD COLUMN category TEXT;
-- A JSON list, sorted.
ALTER TABLE tickets ADD COLUMN tags TEXT;
-- The row of the ticket that goes on in its place.
ALTER TABLE tickets ADD COLUMN merged_into INTEGER;

-- Nobody at central could take one up so far.
UPDATE tickets SET state = 'new' WHERE state = 'open';
UPDATE tickets SET version = coalesce(
    (SELECT max(position) FROM events
        WHERE events.ticket = tickets.operation AND kind <> 'file_moved'),
    (SELECT max(position) FROM events
        WHERE events.operation = tickets.operation AND kind = 'ticket_filed'),
    0);

-- Commands that were carried out, by their ids.
CREATE TABLE commands (
    id BLOB PRIMARY KEY NOT NULL,
    -- Of who wanted what on which ticket.
    digest BLOB NOT NULL,
    -- The ticket's version after it.
    version INTEGER NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- Files that went with a reply: the branch may have them.
CREATE TABLE offered (
    branch TEXT NOT NULL,
    file BLOB NOT NULL,
    -- As it was offered first: its name, size and root.
    offer TEXT NOT NULL,
    PRIMARY KEY (branch, file)
) WITHOUT ROWID, STRICT;

-- What branches file by, once central has said something of it.
CREATE TABLE catalogue (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    serial INTEGER NOT NULL,
    catalogue TEXT NOT NULL
) STRICT;

CREATE TABLE bandwidths (
    branch TEXT PRIMARY KEY NOT NULL,
    -- Grows with every change.
    serial INTEGER NOT NULL,
    -- NULL: as the branch's own configuration says.
    rate TEXT
) WITHOUT ROWID, STRICT;
