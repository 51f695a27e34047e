-- How far outside systems have been told, and how they do.
CREATE TABLE outbox_targets (
    name TEXT PRIMARY KEY NOT NULL,
    -- Behind the last event that it has.
    mark TEXT NOT NULL,
    last_taken_at INTEGER,
    failing_since INTEGER,
    last_failure TEXT
) WITHOUT ROWID, STRICT;

-- Letters that were given up, as they were sent.
CREATE TABLE outbox_dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    again INTEGER NOT NULL DEFAULT 0,
    UNIQUE (target, id)
) STRICT;
CREATE INDEX outbox_again ON outbox_dead (target, number) WHERE again = 1;
