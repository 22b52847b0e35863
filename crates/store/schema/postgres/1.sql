-- Version 1, as for SQLite; see there what the columns are. All lies in a schema of its own.
CREATE TABLE scripts (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    text   BYTEA NOT NULL
);

CREATE TABLE findings (
    seq            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id             TEXT COLLATE "C" NOT NULL UNIQUE,
    category       TEXT COLLATE "C" NOT NULL,
    state          TEXT COLLATE "C" NOT NULL,
    first_seen     BIGINT NOT NULL,
    last_seen      BIGINT NOT NULL,
    count          BIGINT NOT NULL,
    content_sha256 BYTEA NOT NULL,
    container_id   TEXT COLLATE "C" NOT NULL,
    metadata       BIGINT NOT NULL,
    container_name TEXT COLLATE "C",
    image          TEXT COLLATE "C",
    namespace      TEXT COLLATE "C",
    pod            TEXT COLLATE "C",
    container      TEXT,
    body           TEXT NOT NULL
);
CREATE INDEX findings_by_text ON findings (content_sha256, container_id, category);
CREATE INDEX findings_by_container ON findings (container_id);
CREATE INDEX findings_by_time ON findings (last_seen, id);

CREATE TABLE executions (
    finding     BIGINT NOT NULL REFERENCES findings (seq) ON DELETE CASCADE,
    pid         BIGINT NOT NULL,
    start_ticks BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (finding, pid, start_ticks)
);

CREATE TABLE gaps (
    seq   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind  TEXT NOT NULL,
    began BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    body  TEXT NOT NULL
);
CREATE INDEX gaps_by_time ON gaps (ended);

CREATE TABLE runs (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    start    TEXT NOT NULL,
    alive_at BIGINT NOT NULL,
    ended_at BIGINT,
    counters TEXT NOT NULL
);

-- SQLite's name for it.
CREATE FUNCTION instr(text, text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN strpos($1, $2);
