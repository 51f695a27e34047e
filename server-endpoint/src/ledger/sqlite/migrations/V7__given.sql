-- Files that begin at central, for replies. Their rows in `files` have numbers that no operation has, no
-- agent (0), and a scope of their own.
CREATE TABLE given (
    file INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    by TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- kept: no reply took it yet; offered: one did; abandoned: none did, and its bytes are to go; gone.
    standing TEXT NOT NULL DEFAULT 'kept'
        CHECK (standing IN ('kept', 'offered', 'abandoned', 'gone'))
) STRICT;
CREATE INDEX given_kept ON given (at) WHERE standing = 'kept';
CREATE INDEX given_kept_by ON given (by) WHERE standing = 'kept';
CREATE INDEX given_abandoned ON given (file) WHERE standing = 'abandoned';
