-- The serial that central has for a ticket, where that is not the one given here: an agent restored from
-- an old image filed it again.
ALTER TABLE ticket ADD COLUMN central_serial INTEGER;
CREATE INDEX ticket_central_serial ON ticket (central_serial) WHERE central_serial IS NOT NULL;
