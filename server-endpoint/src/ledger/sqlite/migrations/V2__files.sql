-- A file's row has the number of the operation that attached it.
CREATE TABLE files (
    file INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    agent INTEGER NOT NULL,
    branch TEXT NOT NULL,
    -- The row of its ticket.
    ticket INTEGER NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    state TEXT NOT NULL,
    -- What the state's word leaves out: a signature, or who released it.
    detail TEXT,
    state_since INTEGER NOT NULL,
    -- Events that moved it.
    version INTEGER NOT NULL DEFAULT 0,
    sniffed TEXT,
    disguised INTEGER NOT NULL DEFAULT 0,
    trouble TEXT,
    -- Its place in the order of inspection; NULL where inspection has nothing to do.
    due INTEGER,
    -- Whose chunks count as held: a branch's, or '' for anybody's.
    scope TEXT NOT NULL DEFAULT '',
    -- Chunks of the whole; NULL where nothing was announced.
    count INTEGER,
    -- Places announced, and their bytes.
    announced INTEGER NOT NULL DEFAULT 0,
    announced_bytes INTEGER NOT NULL DEFAULT 0,
    -- Its rows in `missing`, and the bytes of all places that have those chunks.
    missing INTEGER NOT NULL DEFAULT 0,
    missing_bytes INTEGER NOT NULL DEFAULT 0,
    -- Since when nothing was done for its manifest; NULL where that is not a reason to give it up.
    idle_since INTEGER
) STRICT;
CREATE INDEX files_by_ticket ON files (ticket, file);
CREATE INDEX files_by_branch ON files (branch, file);
CREATE INDEX files_by_state ON files (state, file);
CREATE INDEX files_by_root ON files (root, file);
CREATE INDEX files_due ON files (due) WHERE due IS NOT NULL;
CREATE INDEX files_idle ON files (idle_since) WHERE idle_since IS NOT NULL;

-- What was attached before central knew what to do with it.
INSERT OR IGNORE INTO files (file, id, agent, branch, ticket, size, root, state, state_since)
    SELECT operation, id, operations.agent, branch, ticket,
        -- A size beyond 64 bits with a sign is read as a real: no file has it, and none will come.
        CASE typeof(json_extract(CAST(bytes AS TEXT), '$.body.size'))
            WHEN 'integer' THEN json_extract(CAST(bytes AS TEXT), '$.body.size')
            ELSE 9223372036854775807
        END,
        unhex(json_extract(CAST(bytes AS TEXT), '$.body.root')),
        'waiting', received_at
    FROM events JOIN operations USING (operation)
    WHERE kind = 'file_attached' AND ticket IS NOT NULL
    ORDER BY operation;

-- Files that an agent has begun to bring and that are not settled, and their bytes.
ALTER TABLE agents ADD COLUMN begun_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN begun_bytes INTEGER NOT NULL DEFAULT 0;

-- Each chunk that a manifest names. It lies in an object, or in an assembled file, or nowhere yet.
CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    size INTEGER NOT NULL,
    scope TEXT NOT NULL,
    object INTEGER,
    file INTEGER,
    -- Bytes before it there.
    offset INTEGER,
    -- In an object: bytes as stored, and how.
    stored INTEGER,
    encoding INTEGER
) STRICT;
CREATE UNIQUE INDEX chunks_by_name ON chunks (hash, size, scope);

-- Objects of the vault in which a chunk lies, and how many do.
CREATE TABLE objects (
    object INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,
    chunks INTEGER NOT NULL
) STRICT;

-- What was announced.
CREATE TABLE manifests (
    file INTEGER NOT NULL,
    place INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    PRIMARY KEY (file, place)
) WITHOUT ROWID, STRICT;

-- Which files have a chunk, each once: at its first place, with the number of its places.
CREATE TABLE uses (
    chunk INTEGER NOT NULL,
    agent INTEGER NOT NULL,
    file INTEGER NOT NULL,
    place INTEGER NOT NULL,
    copies INTEGER NOT NULL,
    PRIMARY KEY (chunk, agent, file)
) WITHOUT ROWID, STRICT;

-- The uses of chunks that lie nowhere.
CREATE TABLE missing (
    file INTEGER NOT NULL,
    place INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    PRIMARY KEY (file, place)
) WITHOUT ROWID, STRICT;
