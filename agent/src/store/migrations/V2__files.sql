-- The files that operations attached: what became of each here and at central. Their bytes are in
-- chunks.db. See files.rs for what the columns mean to one another.
CREATE TABLE file (
    id BLOB PRIMARY KEY,
    position INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- open: to be sent; received: central has every chunk; settled: it has looked at them too;
    -- refused: it will not take them; damaged: they decayed here first; given_up: settled, and no longer
    -- kept here.
    standing TEXT NOT NULL DEFAULT 'open'
        CHECK (standing IN ('open', 'received', 'settled', 'refused', 'damaged', 'given_up')),
    -- What central said of it last, as JSON.
    state TEXT,
    settled_at INTEGER
) WITHOUT ROWID;
CREATE INDEX file_smallest ON file (size) WHERE standing = 'open';
CREATE INDEX file_oldest ON file (position) WHERE standing = 'open';
CREATE INDEX file_settled ON file (settled_at) WHERE standing = 'settled';
CREATE INDEX file_ticket ON file (serial, position);
CREATE UNIQUE INDEX file_position ON file (position);
