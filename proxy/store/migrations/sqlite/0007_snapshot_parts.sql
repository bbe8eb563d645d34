-- Columns have names that no engine reserves. The view `runs` names no columns and follows.
ALTER TABLE run_records RENAME COLUMN user TO user_id;
ALTER TABLE caps RENAME COLUMN window TO window_kind;

-- Which revision was the last that changed what of the snapshot, so that a change is read back alone: each agent with its labels,
-- rollouts and reachable versions, and each of the lists, whose name is ''.
CREATE TABLE snapshot_parts (
    kind     TEXT    NOT NULL CHECK (kind IN ('agent', 'switches', 'caps', 'tokens')),
    name     TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- What was there before may have been changed by any of the revisions until now.
INSERT INTO snapshot_parts SELECT 'agent', name, revision FROM agents CROSS JOIN meta;
INSERT INTO snapshot_parts
SELECT lists.value, '', revision FROM json_each('["switches", "caps", "tokens"]') AS lists CROSS JOIN meta;
