-- What whoever filed should hear of, in the order in which it came to this branch. See news.rs.
CREATE TABLE news (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    serial INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('answer', 'asked', 'resolved', 'refused', 'file'))
);
-- It is for telling once, not a record: the oldest go.
CREATE TRIGGER news_bounded AFTER INSERT ON news BEGIN
    DELETE FROM news WHERE id <= new.id - 10000;
END;

CREATE TRIGGER news_of_reply AFTER INSERT ON reply BEGIN
    INSERT INTO news (serial, kind) VALUES (new.serial, 'answer');
END;

CREATE TRIGGER news_of_state AFTER UPDATE OF central_state ON ticket
WHEN new.central_state IN ('waiting', 'resolved') AND new.central_state IS NOT old.central_state BEGIN
    INSERT INTO news (serial, kind)
    VALUES (new.serial, CASE new.central_state WHEN 'waiting' THEN 'asked' ELSE 'resolved' END);
END;

CREATE TRIGGER news_of_exception AFTER INSERT ON exception BEGIN
    INSERT INTO news (serial, kind) SELECT serial, 'refused' FROM ticket WHERE position = new.position;
    INSERT INTO news (serial, kind) SELECT serial, 'refused' FROM entry WHERE position = new.position;
END;

CREATE TRIGGER news_of_file AFTER UPDATE OF state ON file
WHEN new.state IS NOT old.state
    AND json_extract(new.state, '$.state') IN ('infected', 'corrupt', 'expired') BEGIN
    INSERT INTO news (serial, kind) VALUES (new.serial, 'file');
END;

CREATE TRIGGER news_of_content AFTER UPDATE OF standing ON file
WHEN new.standing IN ('damaged', 'refused') AND new.standing IS NOT old.standing BEGIN
    INSERT INTO news (serial, kind) VALUES (new.serial, 'file');
END;

-- Whose position is it? Asked with every exception.
CREATE INDEX ticket_position ON ticket (position);
