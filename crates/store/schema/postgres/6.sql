-- Version 6: what outputs are to be told, and how far they are with it. See the file of the same name for SQLite.
CREATE TABLE notices (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    event   TEXT COLLATE "C" NOT NULL,
    source  TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    message BYTEA NOT NULL
);
CREATE INDEX notices_by_finding ON notices (id, source);
CREATE TABLE deliveries (
    seq    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notice BIGINT NOT NULL REFERENCES notices (seq),
    output TEXT COLLATE "C" NOT NULL,
    config TEXT COLLATE "C" NOT NULL,
    state  TEXT COLLATE "C" NOT NULL,
    due_at BIGINT NOT NULL,
    tries  BIGINT NOT NULL,
    error  TEXT
);
CREATE INDEX deliveries_by_output ON deliveries (output, state, due_at, seq);
CREATE INDEX deliveries_by_notice ON deliveries (notice);
CREATE TABLE outputs (
    name     TEXT COLLATE "C" PRIMARY KEY,
    sent     BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    lost     BIGINT NOT NULL,
    sent_at  BIGINT,
    error    TEXT,
    error_at BIGINT
);
