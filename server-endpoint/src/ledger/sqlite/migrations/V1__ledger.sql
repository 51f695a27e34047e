CREATE TABLE branches (
    code TEXT PRIMARY KEY NOT NULL,
    name TEXT,
    added_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE agents (
    agent INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    branch TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    secret_hash BLOB NOT NULL,
    registered_at INTEGER NOT NULL,
    -- The highest ticket serial seen, in effect or not.
    serials_used INTEGER NOT NULL DEFAULT 0,
    -- What the agent last said of itself.
    contact_at INTEGER,
    version TEXT,
    clock_skew INTEGER,
    waiting INTEGER,
    oldest_waiting INTEGER,
    disk_free INTEGER,
    damaged INTEGER,
    UNIQUE (branch, ordinal)
) STRICT;

CREATE TABLE streams (
    stream INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    agent INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    head_seq INTEGER NOT NULL,
    head_digest BLOB NOT NULL,
    -- As the agent said it when the stream began; NULL where it continues none.
    continues TEXT
) STRICT;

-- Each operation once, in the order in which they took effect; the bytes exactly as they came.
CREATE TABLE operations (
    operation INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL,
    id BLOB,
    received_at INTEGER NOT NULL,
    -- NULL: accepted.
    verdict TEXT,
    bytes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX operations_by_id ON operations (id, agent) WHERE id IS NOT NULL;

-- What stands where in a stream. A repeat stands at several positions.
CREATE TABLE positions (
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    operation INTEGER NOT NULL,
    -- 1 where the operation had come before, in this stream or another.
    repeat INTEGER NOT NULL,
    -- A repeat whose bytes are not those of the first: what came, for whoever must explain it.
    other_bytes BLOB,
    PRIMARY KEY (stream, seq)
) WITHOUT ROWID, STRICT;

-- A ticket's row has the number of the operation that filed it.
CREATE TABLE tickets (
    operation INTEGER PRIMARY KEY,
    branch TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    suffix INTEGER NOT NULL,
    state TEXT NOT NULL,
    filed_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tickets_by_number ON tickets (branch, ordinal, serial, suffix);

-- AUTOINCREMENT: a position is never given out twice.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    branch TEXT NOT NULL,
    -- The cause.
    operation INTEGER NOT NULL,
    -- The ticket concerned, where the operation is not its filing.
    ticket INTEGER,
    for_feed INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX events_for_feed ON events (branch, position) WHERE for_feed = 1;
CREATE INDEX events_on_ticket ON events (ticket, position) WHERE ticket IS NOT NULL;
CREATE INDEX events_by_operation ON events (operation);
