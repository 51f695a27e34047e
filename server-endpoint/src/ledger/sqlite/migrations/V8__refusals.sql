-- When central last refused to speak with an agent that proved who it is, and why.
ALTER TABLE agents ADD COLUMN refused_at INTEGER;
ALTER TABLE agents ADD COLUMN refused_why TEXT;
