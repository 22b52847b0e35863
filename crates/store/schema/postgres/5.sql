-- Version 5, as for SQLite; see there.
CREATE TABLE settings_version (version BIGINT NOT NULL);
INSERT INTO settings_version VALUES (1);
CREATE FUNCTION count_settings_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN UPDATE urva.settings_version SET version = version + 1; RETURN NULL; END $$;
CREATE TRIGGER settings_put AFTER INSERT OR UPDATE ON settings FOR EACH ROW WHEN (NEW.kind <> 'operations')
    EXECUTE FUNCTION count_settings_change();
CREATE TRIGGER settings_removed AFTER DELETE ON settings FOR EACH ROW WHEN (OLD.kind <> 'operations')
    EXECUTE FUNCTION count_settings_change();
CREATE INDEX audit_by_time ON audit (at, seq);
