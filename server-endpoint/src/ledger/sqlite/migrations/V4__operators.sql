-- People of central. A removed one has no row; the trail has the name.
CREATE TABLE operators (
    -- AUTOINCREMENT: another of the same name is somebody else.
    operator INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    -- As argon2id made it, salt and costs included.
    password TEXT NOT NULL,
    -- 1: somebody else knows it; it is good for nothing but setting another.
    must_change INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    password_at INTEGER NOT NULL,
    signed_in_at INTEGER
) STRICT;

CREATE TABLE sessions (
    session INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    operator INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_operator ON sessions (operator, session);

CREATE TABLE api_tokens (
    -- AUTOINCREMENT: people name them by their numbers, so that none is given out twice.
    token INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    -- Words with blanks between them.
    rights TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    -- NULL: it does not end.
    expires_at INTEGER,
    revoked_at INTEGER,
    used_at INTEGER
) STRICT;
