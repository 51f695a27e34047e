-- What was taken from drop folders, so that nothing is filed twice. See dropped.rs.
CREATE TABLE dropped (
    -- BLAKE3 of the folder's path, cut to 16 bytes.
    folder BLOB NOT NULL,
    name BLOB NOT NULL,
    -- The file as it was seen last with this content.
    identity BLOB NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    root BLOB NOT NULL,
    -- The operation that attached it.
    file BLOB NOT NULL,
    -- Grows with each row that is written: the oldest is forgotten first.
    taken INTEGER NOT NULL,
    -- Whether it has left the folder since.
    gone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE INDEX dropped_identity ON dropped (folder, identity);
CREATE INDEX dropped_gone ON dropped (folder, taken) WHERE gone = 1;
CREATE UNIQUE INDEX dropped_taken ON dropped (taken);

-- How many rows each folder has: counting them would cost more than filing.
CREATE TABLE dropped_count (
    folder BLOB PRIMARY KEY,
    files INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER dropped_one_more AFTER INSERT ON dropped BEGIN
    INSERT INTO dropped_count (folder, files) VALUES (new.folder, 1)
    ON CONFLICT (folder) DO UPDATE SET files = files + 1;
END;
CREATE TRIGGER dropped_one_less AFTER DELETE ON dropped BEGIN
    UPDATE dropped_count SET files = files - 1 WHERE folder = old.folder;
END;
