-- Version 5: a number that tells whether what people set up has changed, so that whoever records reads mute rules only then; and the
-- audit trail by time, so that its oldest entries are found.
CREATE TABLE settings_version (version BIGINT NOT NULL);
INSERT INTO settings_version VALUES (1);
CREATE TRIGGER settings_added AFTER INSERT ON settings WHEN NEW.kind <> 'operations'
BEGIN UPDATE settings_version SET version = version + 1; END;
CREATE TRIGGER settings_changed AFTER UPDATE ON settings WHEN NEW.kind <> 'operations'
BEGIN UPDATE settings_version SET version = version + 1; END;
CREATE TRIGGER settings_removed AFTER DELETE ON settings WHEN OLD.kind <> 'operations'
BEGIN UPDATE settings_version SET version = version + 1; END;
CREATE INDEX audit_by_time ON audit (at, seq);
