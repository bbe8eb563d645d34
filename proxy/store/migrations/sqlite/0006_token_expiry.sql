-- Until when a token may be used; null: until it is revoked, also of those made before.
ALTER TABLE tokens ADD COLUMN expires_at_microseconds INTEGER;

-- When a token was last used, to the minute. Not audited, and apart from the tokens, whose rows change only once.
CREATE TABLE token_uses (
    token                TEXT    NOT NULL PRIMARY KEY REFERENCES tokens (id),
    used_at_microseconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

DROP TRIGGER tokens_revoked_once;
CREATE TRIGGER tokens_revoked_once BEFORE UPDATE ON tokens
WHEN OLD.revoked_at_microseconds IS NOT NULL OR NEW.revoked_at_microseconds IS NULL
    OR (NEW.id, NEW.name, NEW.role, NEW.sha256, NEW.created_by, NEW.created_at_microseconds, NEW.expires_at_microseconds)
        IS NOT (OLD.id, OLD.name, OLD.role, OLD.sha256, OLD.created_by, OLD.created_at_microseconds, OLD.expires_at_microseconds)
BEGIN SELECT RAISE(ABORT, 'tokens change only by their revocation'); END;
