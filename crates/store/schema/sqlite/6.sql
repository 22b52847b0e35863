-- Version 6: what outputs are to be told, and how far they are with it.

-- What happened to a finding, as it was then: {"finding": …, "resource": …} as JSON, compressed by zstd. It goes with its last delivery.
-- Numbers are never given twice, since receivers know a message by them.
CREATE TABLE notices (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      BIGINT NOT NULL,
    -- CREATED or CHANGED.
    event   TEXT NOT NULL,
    -- The finding's source and id.
    source  TEXT NOT NULL,
    id      TEXT NOT NULL,
    message BLOB NOT NULL
);
CREATE INDEX notices_by_finding ON notices (id, source);

-- A notice on its way to one output. Names of outputs are those of the config.
CREATE TABLE deliveries (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    notice BIGINT NOT NULL REFERENCES notices (seq),
    output TEXT NOT NULL,
    -- The notification config that asked for it; empty where the output's own filter did.
    config TEXT NOT NULL,
    -- WAITING or DEAD.
    state  TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    tries  BIGINT NOT NULL,
    error  TEXT
);
CREATE INDEX deliveries_by_output ON deliveries (output, state, due_at, seq);
CREATE INDEX deliveries_by_notice ON deliveries (notice);

-- What was counted for each output.
CREATE TABLE outputs (
    name     TEXT PRIMARY KEY,
    sent     BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    lost     BIGINT NOT NULL,
    sent_at  BIGINT,
    error    TEXT,
    error_at BIGINT
) WITHOUT ROWID;
