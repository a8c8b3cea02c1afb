-- The tables of one peer's file, schema version 7. Times are Unix milliseconds UTC.
-- No build with version 6 was released yet: until one is, tables and checksums may change under this number.
-- One transaction holds what belongs together: hard state, log, and the applied index with all that applying wrote.
-- crc: zlib.crc32 over the row's other columns (checksums.py and *_rows.py say how; of sessions tables.py), checked at each
-- start where a table has few rows, and by the scrub.

-- Who this file belongs to. One row.
CREATE TABLE meta (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    schema_version INTEGER NOT NULL,  -- of this file; a newer one is refused
    mesh_id        BLOB    NOT NULL,  -- 16 bytes, from peers.yaml
    peer_id        INTEGER NOT NULL,  -- also the priority: the lowest leads
    incarnation    BLOB    NOT NULL,  -- 16 random bytes, made with this file
    boot_no        INTEGER NOT NULL,  -- + 1 each start
    bootstrap_hash BLOB    NOT NULL,  -- 16 bytes: mesh id and first peers; all peers agree on it
    created_at     INTEGER NOT NULL,  -- ms, this machine's clock
    crc            INTEGER NOT NULL
) STRICT;

-- What this peer must remember to keep its word. One row.
CREATE TABLE hard_state (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    term  INTEGER NOT NULL,  -- the current one
    vote  INTEGER NOT NULL,  -- peer id voted for in it, 0: nobody
    probe INTEGER NOT NULL,  -- + 1 each transaction: the mark tells whether one is missing, and each really is synced
    root  INTEGER NOT NULL,  -- over applied, log_base, membership, sessions, the log's end; whose (tables.root_of, owned)
    crc   INTEGER NOT NULL
) STRICT;

-- The replicated log after log_base. Rows up to log_base are waste that is deleted bit by bit.
CREATE TABLE log (
    idx    INTEGER PRIMARY KEY,  -- from 1, no holes
    term   INTEGER NOT NULL,     -- in which it was proposed
    kind   INTEGER NOT NULL,     -- 0 no-op, 1 batch of reports, readings or facts, 2 members
    client TEXT,                 -- who asked; NULL with the next three: nobody did
    epoch  BLOB,                 -- 16 bytes, of the client's queue file
    seq    INTEGER,              -- the client's request number, from 1
    digest BLOB,                 -- 16 bytes, BLAKE2b of what the client sent
    chain  BLOB    NOT NULL,     -- 16 bytes, BLAKE2b of the chain before and this row (core.types.chained)
    crc    INTEGER NOT NULL,
    body   BLOB    NOT NULL      -- for a batch: wire/body.py
) STRICT;

-- Where compaction has cut the log: the last entry that is gone. One row; index 0 with a chain of zeros: none is.
CREATE TABLE log_base (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    idx   INTEGER NOT NULL,
    term  INTEGER NOT NULL,
    chain BLOB    NOT NULL,  -- 16 bytes
    crc   INTEGER NOT NULL
) STRICT;

-- The members of the mesh at log_base; later ones are entries of the log. One row.
CREATE TABLE membership (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    idx     INTEGER NOT NULL,  -- of the entry that made them members; 0: the first peers, from peers.yaml
    members BLOB    NOT NULL,  -- as in the body of such an entry (core.membership)
    crc     INTEGER NOT NULL
) STRICT;

-- How far the log has been brought to the tables below. One row.
CREATE TABLE applied (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    idx        INTEGER NOT NULL,  -- of the last applied entry
    term       INTEGER NOT NULL,  -- its term
    chain      BLOB    NOT NULL,  -- its chain, 16 bytes
    applied_hash BLOB  NOT NULL,  -- 16 bytes, equal on all peers with equal idx
    next_id    INTEGER NOT NULL,  -- of the next risk report
    verdicts   BLOB    NOT NULL,  -- how many readings are stored of each verdict, 8 bytes each (reading_rows.py)
    now_ms     INTEGER NOT NULL,  -- the log's clock: the latest stamp of a leader
    now_term   INTEGER NOT NULL,  -- the term of who stamped last
    episodes   INTEGER NOT NULL,  -- how many there are in alarm_episodes
    lines      INTEGER NOT NULL,  -- how many there are in alarm_events
    journal    BLOB    NOT NULL,  -- 16 bytes, a hash over those lines
    kept       INTEGER NOT NULL,  -- a sum over all beds, episodes and rules of alarms, and all keys (alarm_sum.py)
    marked     INTEGER NOT NULL,  -- a sum over the reports that raised an alarm and the alerts that are resolved
    unheard_ms INTEGER NOT NULL,  -- how long nobody listened, in all: the listened clock is now_ms less this
    again_ms   INTEGER NOT NULL,  -- by the listened clock: no bed's silence counts from before
    hushed_until_ms INTEGER NOT NULL,  -- by the log's clock: no silence is told before
    history    BLOB    NOT NULL,  -- 16 bytes, chain of the first applied entry with a body since the mesh began; or empty
    crc        INTEGER NOT NULL
) STRICT;

-- The last request that each client's session has stored.
CREATE TABLE sessions (
    client TEXT    NOT NULL,
    epoch  BLOB    NOT NULL,  -- 16 bytes
    seq    INTEGER NOT NULL,  -- from 1
    digest BLOB    NOT NULL,  -- 16 bytes
    term   INTEGER NOT NULL,  -- of the entry that stored it
    idx    INTEGER NOT NULL,  -- its log index
    crc    INTEGER NOT NULL,
    PRIMARY KEY (client, epoch)
) STRICT, WITHOUT ROWID;

-- Every report that the mesh acknowledged, in the order of the log. The first eleven columns are a public contract.
CREATE TABLE risk_reports (
    id                INTEGER PRIMARY KEY,  -- from 1, no holes, equal on all peers
    patient_id        TEXT    NOT NULL,
    timestamp         INTEGER NOT NULL,  -- ms, the client's clock, when the vitals were taken
    age               REAL,              -- years
    serum_sodium      REAL,              -- mEq/L
    serum_creatinine  REAL,              -- mg/dL
    ejection_fraction REAL,              -- %
    day               INTEGER,           -- days since the start of follow-up
    probability       REAL    NOT NULL,  -- 0 to 1, guarded: it sets the tier
    tier              TEXT    NOT NULL,  -- GREEN, AMBER, RED, UNKNOWN
    alert_sent        INTEGER NOT NULL,  -- 1: an alarm was raised for it
    probability_study REAL    NOT NULL,  -- 0 to 1, the model with the raw day
    model_id          TEXT    NOT NULL,  -- which weights judged
    flags             TEXT    NOT NULL,  -- comma-separated, '' for none
    created_at        INTEGER NOT NULL,  -- ms, the leader's clock, when it took the batch in
    log_index         INTEGER NOT NULL,  -- of the entry that brought it
    crc               INTEGER NOT NULL   -- checked by the scrub, and at the start where there are few rows
) STRICT;

-- 'The last N RED of one patient': an index ends with the rowid, which is id, so this one is (patient_id, tier, id).
-- 'The last N of one patient' are the last of the last N of each tier (pages.py): a second index would cost more.
CREATE INDEX risk_reports_by_patient ON risk_reports (patient_id, tier);

-- 'The last N that were RED', where there may be few.
CREATE INDEX risk_reports_by_tier ON risk_reports (tier);

-- Every heart-rate reading that the mesh acknowledged, believable or not. The first eight columns are a public contract.
CREATE TABLE heartbeats (
    id                INTEGER PRIMARY KEY,  -- from 1, no holes, equal on all peers
    timestamp         INTEGER NOT NULL,  -- ms, the sender's clock, when it was measured
    patient_id        TEXT    NOT NULL,
    heartbeat_value   REAL,              -- beats a minute; NULL when there is no finite number
    validation_status TEXT    NOT NULL,  -- valid, invalid_physiological, invalid_system, corrupted
    anomaly_type      TEXT,              -- high, low, sensor_off, ... (clinical/heart_rate.py); NULL when valid
    raw_payload       TEXT    NOT NULL,  -- what the device gave, '' when that was the number alone
    created_at        INTEGER NOT NULL,  -- ms, the leader's clock, when it took the batch in and judged it
    log_index         INTEGER NOT NULL,  -- of the entry that brought it
    crc               INTEGER NOT NULL   -- as in risk_reports
) STRICT;

-- 'The last N of one patient', of any status or of one, as for reports.
CREATE INDEX heartbeats_by_patient ON heartbeats (patient_id, validation_status);

-- 'The last N that were corrupted', where there may be few.
CREATE INDEX heartbeats_by_status ON heartbeats (validation_status);

-- One row for each reading that is not valid. The first eight columns are a public contract.
CREATE TABLE heartbeat_alerts (
    alert_id        INTEGER PRIMARY KEY,  -- from 1, no holes, equal on all peers
    heartbeat_id    INTEGER NOT NULL,  -- the reading
    timestamp       INTEGER NOT NULL,  -- ms, of the reading
    patient_id      TEXT    NOT NULL,
    heartbeat_value REAL,              -- of the reading
    alert_category  TEXT    NOT NULL,  -- physiological_anomaly, system_anomaly, data_corruption
    resolved_flag   INTEGER NOT NULL,  -- 1: somebody has seen to it
    created_at      INTEGER NOT NULL,  -- ms, the leader's clock, as in the reading
    log_index       INTEGER NOT NULL,  -- of the entry that brought it
    crc             INTEGER NOT NULL   -- as in risk_reports
) STRICT;

-- 'The last N of one patient', of any category or of one, as for reports.
CREATE INDEX heartbeat_alerts_by_patient ON heartbeat_alerts (patient_id, alert_category);

-- 'The last N of one category', where there may be few.
CREATE INDEX heartbeat_alerts_by_category ON heartbeat_alerts (alert_category);

-- What an alarm that is over resolves: a patient has few alerts that nobody has seen to, however many there ever were.
CREATE INDEX heartbeat_alerts_unresolved ON heartbeat_alerts (patient_id) WHERE resolved_flag = 0;

-- What the alarms know of each bed; columns as in clinical/alarm/types.py.
CREATE TABLE alarm_beds (
    patient_id     TEXT    NOT NULL PRIMARY KEY,
    watched        INTEGER NOT NULL,  -- 0: discharged, or never expected: its silence is no alarm
    last_at_ms     INTEGER NOT NULL,  -- when anything believable was last taken in; 0: never
    quiet_from_ms  INTEGER NOT NULL,  -- since when its silence counts, as long as it has not spoken; by the listened clock
    risk_at_ms     INTEGER NOT NULL,  -- when a judgement was last taken in; 0: never since it was admitted
    risk_from_ms   INTEGER NOT NULL,  -- since when the silence of its judgements counts, likewise; 0: none are missed
    beat_at_ms     INTEGER NOT NULL,  -- when a heart rate was last taken in that can be believed; 0: never since
    beat_from_ms   INTEGER NOT NULL,  -- since when the silence of its heart rates counts, likewise; 0: none are missed
    silent         INTEGER NOT NULL,  -- bits of what is missing: 1 judgements, 2 heart rates, 4 any word at all
    sign_timestamp INTEGER NOT NULL,  -- the newest that it told, by its own clock; 0: nothing
    last_timestamp INTEGER NOT NULL,  -- of its last judgement that was not late; 0: none
    judged_at_ms   INTEGER NOT NULL,  -- when that came
    report_id      INTEGER NOT NULL,  -- its last report that was not late, 0: none
    tier           TEXT    NOT NULL,  -- of its last judgement, '' for none
    probability    REAL,              -- likewise
    active         INTEGER NOT NULL,  -- bits of the causes that are on: 1 RED, 2 HEART_RATE, 4 NO_DATA, 8 AMBER
    muted          INTEGER NOT NULL,  -- likewise, resolved by hand while on
    red_count      INTEGER NOT NULL,  -- readings of the RED streak
    red_from       INTEGER NOT NULL,  -- by its own clock: where the last RED began
    red_over       INTEGER NOT NULL,  -- and where it had ended
    amber_recent   INTEGER NOT NULL,  -- the last readings as bits, the newest is 1: AMBER or above
    amber_ms       INTEGER NOT NULL,  -- how long it has been so, gaps left out
    amber_at_ms    INTEGER NOT NULL,  -- its last reading; 0: no streak
    rate_count     INTEGER NOT NULL,  -- likewise heart rates outside the range
    rate_ms        INTEGER NOT NULL,  -- for so long
    rate_at_ms     INTEGER NOT NULL,  -- the last of them
    rate_back      INTEGER NOT NULL,  -- readings inside the range since
    crc            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every alarm: one patient, one cause, from raised to normal.
CREATE TABLE alarm_episodes (
    id                 INTEGER PRIMARY KEY,  -- from 1, no holes, equal on all peers
    patient_id         TEXT    NOT NULL,
    cause              TEXT    NOT NULL,  -- RED, HEART_RATE, NO_DATA, AMBER
    state              TEXT    NOT NULL,  -- unacknowledged, acknowledged, returned, normal
    raised_at_ms       INTEGER NOT NULL,  -- this and what follows by the log's clock, ms
    raised_by          INTEGER NOT NULL,  -- id of the report or heartbeat; 0: a timer or a sign of life
    note               TEXT    NOT NULL,  -- the tier or the anomaly that raised it; NO_DATA: what is missing
    value              REAL,              -- the last one: a probability, or beats a minute
    least              REAL,              -- since it was raised
    most               REAL,              -- likewise
    acknowledged_at_ms INTEGER,           -- NULL: not yet
    acknowledged_by    TEXT    NOT NULL,  -- whoever said so; '' before
    returned_at_ms     INTEGER,           -- NULL while the cause is on
    resolved_at_ms     INTEGER,           -- when it became normal
    resolved_how       TEXT    NOT NULL,  -- seen, resolved, folded, discharged; '' before
    resolved_by        TEXT    NOT NULL,  -- an operator; '' for seen and folded
    step               INTEGER NOT NULL,  -- of the escalation, the first is 1
    step_at_ms         INTEGER NOT NULL,  -- when that step was reached; 0: none yet
    sent               TEXT    NOT NULL,  -- STEP:CHANNEL of what was delivered, one a line
    failing            TEXT    NOT NULL,  -- likewise of what has failed, and was not delivered since
    crc                INTEGER NOT NULL
) STRICT;

-- 'What is open'.
CREATE INDEX alarm_episodes_by_state ON alarm_episodes (state);

-- 'The last N of one patient'.
CREATE INDEX alarm_episodes_by_patient ON alarm_episodes (patient_id);

-- What happened to alarms, line by line, never changed again.
CREATE TABLE alarm_events (
    id         INTEGER PRIMARY KEY,  -- from 1, no holes, equal on all peers
    episode_id INTEGER NOT NULL,     -- 0: about a bed
    at_ms      INTEGER NOT NULL,     -- by the log's clock
    what       TEXT    NOT NULL,     -- raised, missing, recurred, returned, acknowledged, escalated, ended, sent, ...
    detail     TEXT    NOT NULL,     -- the note, by whom, how, the step, or STEP:CHANNEL ...
    crc        INTEGER NOT NULL
) STRICT;

-- 'All of one episode'.
CREATE INDEX alarm_events_by_episode ON alarm_events (episode_id);

-- The rules in force, as JSON. One row, from when they are first set.
CREATE TABLE alarm_rules (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    rules TEXT    NOT NULL,  -- clinical/alarm/rules.py
    crc   INTEGER NOT NULL
) STRICT;

-- The keys that were issued or revoked through the log; what peers.yaml lists is not here.
CREATE TABLE access_keys (
    key        TEXT    NOT NULL PRIMARY KEY,  -- Z85, public
    role       TEXT    NOT NULL,  -- peer, client, admin; '' for one that was revoked and never issued here
    name       TEXT    NOT NULL,  -- what people call it; '' likewise
    peer       INTEGER NOT NULL,  -- the id of a peer, 0 for the others
    issued_at  INTEGER NOT NULL,  -- ms, the leader's clock; 0: never
    issued_no  INTEGER NOT NULL,  -- the order of issue: log index * 1000 + number in its entry; 0: never
    revoked_at INTEGER NOT NULL,  -- ms, the leader's clock; 0: it is in force
    crc        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
