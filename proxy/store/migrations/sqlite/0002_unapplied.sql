-- What becomes of an agent's call that its version could have had a say in, but has not: `refuse` or `pass`.
ALTER TABLE agents ADD COLUMN unapplied TEXT NOT NULL DEFAULT 'refuse' CHECK (unapplied IN ('refuse', 'pass'));
