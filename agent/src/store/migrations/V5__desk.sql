-- What central support made of tickets, as the feed told it last. See desk.rs.
-- NULL: central said nothing of it.
ALTER TABLE ticket ADD COLUMN central_state TEXT;
ALTER TABLE ticket ADD COLUMN central_priority TEXT;
ALTER TABLE ticket ADD COLUMN central_category TEXT;
-- The number of the ticket that goes on in its place.
ALTER TABLE ticket ADD COLUMN merged_into TEXT;

CREATE TABLE reply (
    id BLOB PRIMARY KEY,
    serial INTEGER NOT NULL,
    -- The event's, at central.
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    by_whom TEXT NOT NULL,
    text TEXT NOT NULL,
    -- A JSON list.
    files TEXT NOT NULL,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX reply_of_ticket ON reply (serial, position);
CREATE INDEX reply_oldest ON reply (position);

-- Bytes of all replies: counting them would cost more than keeping one.
CREATE TABLE reply_total (bytes INTEGER NOT NULL);
INSERT INTO reply_total VALUES (0);
CREATE TRIGGER reply_one_more AFTER INSERT ON reply BEGIN
    UPDATE reply_total SET bytes = bytes + new.bytes;
END;
CREATE TRIGGER reply_one_less AFTER DELETE ON reply BEGIN
    UPDATE reply_total SET bytes = bytes - old.bytes;
END;
