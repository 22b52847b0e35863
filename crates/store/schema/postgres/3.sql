-- Version 3, as for SQLite; see there what the columns are.
ALTER TABLE scripts RENAME TO scripts_1;
ALTER TABLE findings RENAME TO findings_1;
ALTER TABLE executions RENAME TO executions_1;
DROP INDEX findings_by_text;
DROP INDEX findings_by_container;
DROP INDEX findings_by_time;
ALTER INDEX findings_pkey RENAME TO findings_1_pkey;
ALTER INDEX findings_id_key RENAME TO findings_1_id_key;
ALTER INDEX scripts_pkey RENAME TO scripts_1_pkey;
ALTER INDEX executions_pkey RENAME TO executions_1_pkey;
CREATE TABLE scripts (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    size   BIGINT NOT NULL,
    text   BYTEA NOT NULL
);
CREATE TABLE resources (
    seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     TEXT COLLATE "C" NOT NULL UNIQUE,
    document JSONB NOT NULL
);
CREATE TABLE findings (
    seq            BIGINT PRIMARY KEY,
    source         TEXT COLLATE "C" NOT NULL,
    id             TEXT COLLATE "C" NOT NULL,
    resource       BIGINT NOT NULL REFERENCES resources (seq),
    category       TEXT COLLATE "C" NOT NULL,
    state          TEXT COLLATE "C" NOT NULL,
    severity       TEXT COLLATE "C" NOT NULL,
    mute           TEXT COLLATE "C" NOT NULL,
    create_time    BIGINT NOT NULL,
    event_time     BIGINT NOT NULL,
    count          BIGINT NOT NULL,
    content_sha256 BYTEA,
    container_id   TEXT COLLATE "C" NOT NULL,
    metadata       BIGINT NOT NULL,
    container_name TEXT COLLATE "C",
    image          TEXT COLLATE "C",
    namespace      TEXT COLLATE "C",
    pod            TEXT COLLATE "C",
    UNIQUE (id, source)
);
CREATE INDEX findings_by_text ON findings (content_sha256, container_id);
CREATE INDEX findings_by_container ON findings (container_id);
CREATE INDEX findings_by_time ON findings (event_time, seq);
CREATE INDEX findings_by_resource ON findings (resource, event_time, seq);
CREATE INDEX findings_by_category ON findings (category, event_time, seq);
CREATE INDEX findings_by_state ON findings (state, event_time, seq);
CREATE INDEX findings_by_severity ON findings (severity, event_time, seq);
CREATE INDEX findings_by_mute ON findings (mute, event_time, seq);
CREATE INDEX findings_by_namespace ON findings (namespace, event_time, seq);
CREATE INDEX findings_by_pod ON findings (pod, event_time, seq);
CREATE INDEX findings_by_image ON findings (image, event_time, seq);
CREATE INDEX findings_by_group ON findings (category, namespace, event_time, seq);

CREATE TABLE documents (
    finding   BIGINT PRIMARY KEY REFERENCES findings (seq) ON DELETE CASCADE,
    document  JSONB NOT NULL,
    container TEXT,
    body      BYTEA
);
CREATE TABLE executions (
    finding     BIGINT NOT NULL REFERENCES findings (seq) ON DELETE CASCADE,
    pid         BIGINT NOT NULL,
    start_ticks BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (finding, pid, start_ticks)
);
CREATE TABLE settings (
    kind     TEXT COLLATE "C" NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    document JSONB NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE TABLE audit (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    object TEXT COLLATE "C" NOT NULL,
    before TEXT,
    after  TEXT
);
CREATE INDEX audit_by_object ON audit (object, seq);
CREATE TABLE audit_limit (at BIGINT NOT NULL);
INSERT INTO audit_limit VALUES (0);
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit trail is not changed'; END $$;
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF OLD.at >= (SELECT at FROM urva.audit_limit) THEN RAISE EXCEPTION 'the audit trail is not changed'; END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR TRUNCATE ON audit EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION keep_audit();
CREATE TRIGGER audit_limit_rises BEFORE UPDATE ON audit_limit FOR EACH ROW WHEN (NEW.at < OLD.at)
    EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_limit_stays BEFORE DELETE OR TRUNCATE ON audit_limit EXECUTE FUNCTION refuse_audit_change();
