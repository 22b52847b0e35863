-- Version 3: a finding is a document in the protocol's JSON. `findings` has what is asked for most, in short rows that are
-- quick to look through; what is long lies in `documents`. The program copies what version 2 held, and removes it.
ALTER TABLE scripts RENAME TO scripts_1;
ALTER TABLE findings RENAME TO findings_1;
ALTER TABLE executions RENAME TO executions_1;
DROP INDEX findings_by_text;
DROP INDEX findings_by_container;
DROP INDEX findings_by_time;

-- Texts of scripts, each once however many findings show it, compressed by zstd. Head and tail of a cut text lie one after
-- the other, as their hash covers them; the finding's body says where the head ends. `size` is that before compression.
CREATE TABLE scripts (
    sha256 BLOB NOT NULL PRIMARY KEY,
    size   BIGINT NOT NULL,
    text   BLOB NOT NULL
);

-- What findings were found in: few, so that looking through their names is quick.
CREATE TABLE resources (
    seq      INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    -- The protocol's Resource as JSON.
    document TEXT NOT NULL
);

-- A column that repeats something of the document follows it, and is there to be asked for. The hash, the container's id and
-- `metadata` are of urva's own findings alone.
CREATE TABLE findings (
    seq            INTEGER PRIMARY KEY,
    -- The source that it is filed under, and its name in there.
    source         TEXT NOT NULL,
    id             TEXT NOT NULL,
    resource       BIGINT NOT NULL REFERENCES resources (seq),
    category       TEXT NOT NULL,
    state          TEXT NOT NULL,
    severity       TEXT NOT NULL,
    mute           TEXT NOT NULL,
    create_time    BIGINT NOT NULL,
    event_time     BIGINT NOT NULL,
    count          BIGINT NOT NULL,
    content_sha256 BLOB,
    container_id   TEXT NOT NULL,
    -- 0: the runtime has not answered, 1: nobody knows more, 2: complete.
    metadata       BIGINT NOT NULL,
    -- Of `sourceProperties`: Container_Name, Container_Image_Uri, Pod_Namespace, Pod_Name. Empty where there is none, and nothing
    -- where it is not one short text: it is looked for in the document then.
    container_name TEXT,
    image          TEXT,
    namespace      TEXT,
    pod            TEXT,
    UNIQUE (id, source)
);
CREATE INDEX findings_by_text ON findings (content_sha256, container_id);
CREATE INDEX findings_by_container ON findings (container_id);
CREATE INDEX findings_by_time ON findings (event_time);
CREATE INDEX findings_by_resource ON findings (resource, event_time);
CREATE INDEX findings_by_category ON findings (category, event_time);
CREATE INDEX findings_by_state ON findings (state, event_time);
CREATE INDEX findings_by_severity ON findings (severity, event_time);
CREATE INDEX findings_by_mute ON findings (mute, event_time);
CREATE INDEX findings_by_namespace ON findings (namespace, event_time);
CREATE INDEX findings_by_pod ON findings (pod, event_time);
CREATE INDEX findings_by_image ON findings (image, event_time);
CREATE INDEX findings_by_group ON findings (category, namespace, event_time);

CREATE TABLE documents (
    finding   INTEGER PRIMARY KEY REFERENCES findings (seq) ON DELETE CASCADE,
    -- The protocol's Finding as JSON, without the script's contents.
    document  TEXT NOT NULL,
    -- Of urva's own findings: the container as JSON, and the rest of the evidence without the text, as JSON and compressed by zstd.
    container TEXT,
    body      BLOB
);

-- The newest executions of each finding, by which a repeated report is told from a repeated execution.
CREATE TABLE executions (
    finding     BIGINT NOT NULL REFERENCES findings (seq) ON DELETE CASCADE,
    pid         BIGINT NOT NULL,
    start_ticks BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (finding, pid, start_ticks)
) WITHOUT ROWID;

-- What people set up: sources, mute rules, notifications. `document` is the protocol's message as JSON.
CREATE TABLE settings (
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Who changed what, when, and what it was before. Entries are only ever added; the oldest go when they are older than the
-- limit that retention sets, which only ever rises.
CREATE TABLE audit (
    seq    INTEGER PRIMARY KEY,
    at     BIGINT NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT,
    after  TEXT
);
CREATE INDEX audit_by_object ON audit (object, seq);
CREATE TABLE audit_limit (at BIGINT NOT NULL);
INSERT INTO audit_limit VALUES (0);
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN OLD.at >= (SELECT at FROM audit_limit)
BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;
CREATE TRIGGER audit_limit_rises BEFORE UPDATE ON audit_limit WHEN NEW.at < OLD.at
BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;
CREATE TRIGGER audit_limit_stays BEFORE DELETE ON audit_limit
BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;
