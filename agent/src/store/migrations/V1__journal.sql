-- The journal and the branch's view of its tickets. See store.rs for the invariants.

-- One row per life of the journal; the last is the present one. A stream's sequence number is the
-- operation's position less the stream's base.
CREATE TABLE stream (
    ordinal INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    continues TEXT,
    base INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    digest BLOB NOT NULL,
    acknowledged_at INTEGER,
    opened_at INTEGER NOT NULL
);

-- The present stream's digest at each acknowledged position: from the nearest one, the digest
-- anywhere can be computed again.
CREATE TABLE acknowledgement (
    position INTEGER PRIMARY KEY,
    digest BLOB NOT NULL
);

CREATE TABLE operation (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    checksum BLOB NOT NULL,
    recorded_at INTEGER NOT NULL,
    bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX operation_id ON operation (id);

CREATE TABLE ticket (
    serial INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    position INTEGER NOT NULL,
    suffix INTEGER NOT NULL DEFAULT 1,
    withdrawn INTEGER NOT NULL DEFAULT 0,
    bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX ticket_id ON ticket (id);

CREATE TABLE entry (
    position INTEGER PRIMARY KEY,
    serial INTEGER NOT NULL,
    bytes BLOB NOT NULL
);
CREATE INDEX entry_serial ON entry (serial, position);

-- Operations that did not simply arrive: rejected by central (with its reason), or damaged on disk.
CREATE TABLE exception (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('rejected', 'damaged')),
    reason TEXT
);

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
