-- Files that central gave with replies. Their bytes are in a folder. See given.rs.
CREATE TABLE given (
    id BLOB PRIMARY KEY,
    serial INTEGER NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    -- wanted: to be fetched; here: whole and proven; refused: central does not give it any more; gone: it
    -- was here, and made room for newer ones.
    standing TEXT NOT NULL DEFAULT 'wanted' CHECK (standing IN ('wanted', 'here', 'refused', 'gone'))
) WITHOUT ROWID;
CREATE INDEX given_wanted ON given (size) WHERE standing = 'wanted';
CREATE INDEX given_here ON given (id) WHERE standing = 'here';
