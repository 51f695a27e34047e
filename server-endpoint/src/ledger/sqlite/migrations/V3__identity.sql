-- An agent that enrolled has no secret; and what is known of it besides.
CREATE TABLE agents_3 (
    agent INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    branch TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    -- NULL: not revoked.
    revoked_at INTEGER,
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
    certificate_until INTEGER,
    trust INTEGER,
    -- Files that it has begun to bring and that are not settled, and their bytes.
    begun_files INTEGER NOT NULL DEFAULT 0,
    begun_bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (branch, ordinal)
) STRICT;
INSERT INTO agents_3 (agent, id, branch, ordinal, registered_at, serials_used, contact_at,
        version, clock_skew, waiting, oldest_waiting, disk_free, damaged, begun_files, begun_bytes)
    SELECT agent, id, branch, ordinal, registered_at, serials_used, contact_at,
        version, clock_skew, waiting, oldest_waiting, disk_free, damaged, begun_files, begun_bytes
    FROM agents;
DROP TABLE agents;
ALTER TABLE agents_3 RENAME TO agents;

-- Events may have no operation for their cause. Positions stay as they are, and none is given out twice.
CREATE TABLE events_3 (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    branch TEXT NOT NULL,
    -- The cause; NULL where nobody at a branch asked for it.
    operation INTEGER,
    -- The ticket concerned, where the operation is not its filing.
    ticket INTEGER,
    for_feed INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
INSERT INTO events_3 (position, at, branch, operation, ticket, for_feed, kind, body)
    SELECT position, at, branch, operation, ticket, for_feed, kind, body FROM events ORDER BY position;
-- The last position may be of an event that was lost, by whatever accident.
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'events_3', seq FROM sqlite_sequence
    WHERE name = 'events' AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events_3');
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'events')
    WHERE name = 'events_3';
DROP TABLE events;
ALTER TABLE events_3 RENAME TO events;
CREATE INDEX events_for_feed ON events (branch, position) WHERE for_feed = 1;
CREATE INDEX events_on_ticket ON events (ticket, position) WHERE ticket IS NOT NULL;
CREATE INDEX events_by_operation ON events (operation) WHERE operation IS NOT NULL;

-- AUTOINCREMENT: people name tokens by their numbers, so that none is given out twice.
CREATE TABLE tokens (
    token INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    -- For new agents of this branch, or for this agent alone; one of the two.
    branch TEXT,
    agent INTEGER,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- It was taken back, or its agent was revoked after it was made.
    revoked_at INTEGER,
    CHECK ((branch IS NULL) <> (agent IS NULL))
) STRICT;
CREATE INDEX tokens_for_agent ON tokens (agent) WHERE agent IS NOT NULL;

-- Who joined by what, so that a repeat is the same enrolment.
CREATE TABLE enrolments (
    token INTEGER NOT NULL,
    key BLOB NOT NULL,
    agent INTEGER NOT NULL,
    at INTEGER NOT NULL,
    -- 1: the agent was revoked, or joined again by another one; this one gives no certificates any more.
    ended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (token, key)
) WITHOUT ROWID, STRICT;
CREATE INDEX enrolments_by_agent ON enrolments (agent);

CREATE TABLE certificates (
    certificate INTEGER PRIMARY KEY,
    serial BLOB NOT NULL UNIQUE,
    agent INTEGER NOT NULL,
    key BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    der BLOB NOT NULL
) STRICT;
CREATE INDEX certificates_by_agent ON certificates (agent, certificate);

-- Agents whose open connections must end: revoked, or joined again elsewhere.
CREATE TABLE revocations (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    agent INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- What was published of whom to trust, each once, by the digest of what the feed says.
CREATE TABLE trust_published (
    digest BLOB PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- Who did what.
CREATE TABLE trail (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    address TEXT,
    digest BLOB NOT NULL
) STRICT;
CREATE TRIGGER trail_is_not_changed BEFORE UPDATE ON trail
    BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END;
CREATE TRIGGER trail_is_not_shortened BEFORE DELETE ON trail
    BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END;
-- REPLACE deletes without asking the trigger above.
CREATE TRIGGER trail_is_not_replaced BEFORE INSERT ON trail
    WHEN EXISTS (SELECT 1 FROM trail WHERE position = NEW.position)
    BEGIN SELECT RAISE(ABORT, 'the trail is only appended to'); END;
