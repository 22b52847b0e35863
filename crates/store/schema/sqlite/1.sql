-- Version 1. Times are nanoseconds since 1970, numbers of 64 bits without sign are kept in those with sign:
-- times and counts cut at the largest, start_ticks by their bits.

-- Texts of scripts, each once however many findings show it. Head and tail of a cut text lie one after
-- the other, as their hash covers them; the finding's body says where the head ends.
CREATE TABLE scripts (
    sha256 BLOB NOT NULL PRIMARY KEY,
    text   BLOB NOT NULL
);

-- The columns are what the store asks and changes; `body` is the rest of the finding as JSON, without
-- the text and the container. Where a column and the body say the same thing, the column is right.
CREATE TABLE findings (
    seq            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    category       TEXT NOT NULL,
    state          TEXT NOT NULL,
    first_seen     BIGINT NOT NULL,
    last_seen      BIGINT NOT NULL,
    count          BIGINT NOT NULL,
    content_sha256 BLOB NOT NULL,
    container_id   TEXT NOT NULL,
    -- 0: the runtime has not answered, 1: nobody knows more, 2: complete.
    metadata       INTEGER NOT NULL,
    container_name TEXT,
    image          TEXT,
    namespace      TEXT,
    pod            TEXT,
    container      TEXT,
    body           TEXT NOT NULL
);
CREATE INDEX findings_by_text ON findings (content_sha256, container_id, category);
CREATE INDEX findings_by_container ON findings (container_id);
CREATE INDEX findings_by_time ON findings (last_seen, id);

-- The newest executions of each finding, by which a repeated report is told from a repeated execution.
CREATE TABLE executions (
    finding     BIGINT NOT NULL REFERENCES findings (seq) ON DELETE CASCADE,
    pid         BIGINT NOT NULL,
    start_ticks BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (finding, pid, start_ticks)
) WITHOUT ROWID;

CREATE TABLE gaps (
    seq   INTEGER PRIMARY KEY,
    kind  TEXT NOT NULL,
    began BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    body  TEXT NOT NULL
);
CREATE INDEX gaps_by_time ON gaps (ended);

CREATE TABLE runs (
    id       INTEGER PRIMARY KEY,
    start    TEXT NOT NULL,
    alive_at BIGINT NOT NULL,
    ended_at BIGINT,
    counters TEXT NOT NULL
);
