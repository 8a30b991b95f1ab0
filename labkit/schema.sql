-- The ledger: what this curriculum writes down about everything it does.
--
-- A deep learning system is more than its weights. It is S = (D, A, Θ, C, E, G): data, architecture, parameters,
-- compute, environment, governance. Each letter is a group of tables here, so that "on which data, with which
-- network, at what cost, for whom, and who checked it?" is one SQL query and not somebody's memory.
--
-- How to read it
--   id                    numbers the rows of a table.
--   session_id, run_id …  name a row of another table (REFERENCES). A row that names a missing one is refused.
--   CHECK                 is a rule that every row must obey. A row that breaks it is refused.
--   JSON                  is a list or a mapping written as text; json_extract(config, '$.width') reads inside it.
--   sha256                is a fingerprint: 64 hexadecimal digits that change when a single byte does.
--   …_at                  is a time in UTC, such as 2026-01-31T09:30:00.000Z. The ledger fills it in.
--   NULL                  means "not known" or "does not apply". A loss that is not a number (NaN) is NULL too.
--
-- Rows are added, and a few are completed later (a run ends, a prediction meets its outcome, a place is described).
-- None is ever deleted.
-- A ledger of an older labkit gets, with the next record, the tables and columns that it lacks.

PRAGMA application_id = 1145852748;  -- the letters "DLSL" as a number: it says that this file is our ledger
PRAGMA user_version = 3;             -- the version of this schema; labkit refuses a ledger newer than itself


-- D  Data: what was learned from ---------------------------------------------------------------------------------

CREATE TABLE dataset (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,                                 -- 'digits'
    sha256      TEXT NOT NULL CHECK (length(sha256) = 64),     -- fingerprint of the whole data set
    n_examples  INTEGER NOT NULL CHECK (n_examples > 0),
    n_features  INTEGER CHECK (n_features > 0),                -- numbers that describe one example: 64 pixels
    n_classes   INTEGER CHECK (n_classes > 0),                 -- NULL where the target is not a class
    source      TEXT NOT NULL DEFAULT '',                      -- who collected it, and where it is from
    licence     TEXT NOT NULL DEFAULT '',                      -- what one may do with it
    datasheet   TEXT NOT NULL DEFAULT '',                      -- the page that describes it: 'data/digits.md'
    created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (name, sha256)                                      -- the same data set is one row, however often it is used
) STRICT;

CREATE TABLE split (                                           -- a part of a data set, exactly as a model was given it
    id          INTEGER PRIMARY KEY,
    dataset_id  INTEGER REFERENCES dataset (id),               -- NULL for numbers that belong to no data set
    name        TEXT NOT NULL DEFAULT '',                      -- how it was cut: 'random', 'blocks'
    role        TEXT NOT NULL CHECK (role IN ('train', 'validation', 'test', 'all')),
    n_examples  INTEGER NOT NULL CHECK (n_examples > 0),
    seed        INTEGER,                                       -- of the random cut; NULL where nothing was random
    sha256      TEXT NOT NULL CHECK (length(sha256) = 64),     -- fingerprint of these very inputs and targets
    transform   TEXT NOT NULL DEFAULT ''                       -- what was done to them: 'labels shuffled'; '' nothing
) STRICT;


-- A  Architecture: the family of functions that training chooses from --------------------------------------------

CREATE TABLE architecture (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL,                               -- 'MLP 64-32-10'
    config        TEXT NOT NULL CHECK (json_valid(config)),    -- JSON: all that is needed to build it again
    n_parameters  INTEGER NOT NULL CHECK (n_parameters >= 0),
    sha256        TEXT NOT NULL CHECK (length(sha256) = 64),   -- fingerprint of config
    UNIQUE (name, sha256)
) STRICT;


-- C  Compute (1 of 2): the machine and the software that did the work --------------------------------------------

CREATE TABLE session (                                         -- one process: a notebook's kernel, from start to stop
    id             INTEGER PRIMARY KEY,
    notebook       TEXT NOT NULL,                              -- '00_start_here', or the name of a script
    pid            INTEGER NOT NULL,                           -- the operating system's number for the process
    python         TEXT NOT NULL,                              -- versions
    torch          TEXT NOT NULL,
    numpy          TEXT NOT NULL,
    labkit_sha256  TEXT NOT NULL CHECK (length(labkit_sha256) = 64),  -- fingerprint of labkit's own code
    platform       TEXT NOT NULL,                              -- operating system
    processor      TEXT NOT NULL,
    device         TEXT NOT NULL,                              -- where models go unless told otherwise: 'cpu', 'cuda'
    threads        INTEGER NOT NULL CHECK (threads > 0),       -- CPU threads that PyTorch may use
    started_at     TEXT NOT NULL,                              -- when the process first loaded labkit
    UNIQUE (pid, started_at)                                   -- a pid is used again, but not at that moment
) STRICT;


-- Θ  Parameters: how the weights came to be ----------------------------------------------------------------------

CREATE TABLE training_run (                                    -- one model, trained once
    id               INTEGER PRIMARY KEY,
    session_id       INTEGER NOT NULL REFERENCES session (id),
    experiment       TEXT NOT NULL DEFAULT '',                 -- the question it was trained for: 'shuffled labels'
    architecture_id  INTEGER NOT NULL REFERENCES architecture (id),
    split_id         INTEGER NOT NULL REFERENCES split (id),   -- what it was trained on
    seed             INTEGER NOT NULL,                         -- draws the first weights and the order of the batches
    replicate        INTEGER NOT NULL DEFAULT 0 CHECK (replicate >= 0),  -- which repetition of the experiment
    objective        TEXT NOT NULL,                            -- the loss that was made small: 'cross_entropy'
    optimizer        TEXT NOT NULL,                            -- 'adam', 'sgd'
    learning_rate    REAL NOT NULL CHECK (learning_rate >= 0),
    weight_decay     REAL NOT NULL DEFAULT 0 CHECK (weight_decay >= 0),
    batch_size       INTEGER NOT NULL CHECK (batch_size > 0),
    steps_planned    INTEGER NOT NULL CHECK (steps_planned >= 0),
    steps_done       INTEGER NOT NULL DEFAULT 0 CHECK (steps_done BETWEEN 0 AND steps_planned),
    config           TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(config)),  -- JSON: every other setting
    status           TEXT NOT NULL DEFAULT 'running'           -- failures stay in the ledger: they are evidence too
                     CHECK (status IN ('running', 'completed', 'diverged', 'interrupted', 'failed')),
    final_loss       REAL,                                     -- loss of the last batch
    error            TEXT,                                     -- what went wrong, where something did
    started_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    finished_at      TEXT                                      -- NULL while it runs, or if its process was killed
) STRICT;

CREATE TRIGGER training_run_finished                           -- a run that stops running gets its finishing time
AFTER UPDATE OF status ON training_run
WHEN NEW.status <> 'running' AND NEW.finished_at IS NULL
BEGIN
    UPDATE training_run SET finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

CREATE TABLE training_metric (                                 -- the loss curve: at most 100 points a run
    id      INTEGER PRIMARY KEY,
    run_id  INTEGER NOT NULL REFERENCES training_run (id),
    step    INTEGER NOT NULL CHECK (step >= 0),
    name    TEXT NOT NULL,                                     -- 'loss'
    value   REAL
) STRICT;

CREATE TABLE checkpoint (                                      -- weights that were saved to a file
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL REFERENCES training_run (id),
    step        INTEGER NOT NULL CHECK (step >= 0),
    path        TEXT NOT NULL,
    sha256      TEXT NOT NULL CHECK (length(sha256) = 64),
    bytes       INTEGER NOT NULL CHECK (bytes > 0),
    format      TEXT NOT NULL DEFAULT 'safetensors'            -- holds numbers only; loading a pickle can run any code
                CHECK (format = 'safetensors'),
    created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;


-- C  Compute (2 of 2): what a run cost ---------------------------------------------------------------------------

CREATE TABLE compute (
    id            INTEGER PRIMARY KEY,
    run_id        INTEGER NOT NULL REFERENCES training_run (id),
    device        TEXT NOT NULL,                               -- 'cpu', or the graphics processor's name
    threads       INTEGER CHECK (threads > 0),
    seconds       REAL NOT NULL CHECK (seconds >= 0),          -- MEASURED, by the clock on the wall
    flops         REAL CHECK (flops >= 0),                     -- COUNTED: additions and multiplications of numbers
    flops_method  TEXT NOT NULL DEFAULT '',                    -- how they were counted
    power_watts   REAL CHECK (power_watts >= 0),               -- ASSUMED
    energy_kwh    REAL CHECK (energy_kwh >= 0),                -- so this is an estimate: watts × seconds / 3 600 000
    assumption    TEXT NOT NULL DEFAULT '',                    -- where power_watts is from, in words
    CHECK ((power_watts IS NULL AND energy_kwh IS NULL) OR assumption <> '')  -- no estimate without its assumption
) STRICT;


-- E  Environment: where, and for whom, a model is used -----------------------------------------------------------

CREATE TABLE environment (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,                                 -- 'held-out', 'other writers'
    population  TEXT NOT NULL DEFAULT '',                      -- whose data these are
    conditions  TEXT NOT NULL DEFAULT '',                      -- how they are measured: noise, hardware, season
    shift       TEXT NOT NULL DEFAULT '',                      -- how that differs from training; '' is not known to
    UNIQUE (name, conditions)
) STRICT;

CREATE TABLE evaluation (                                      -- one number that says how well a model does, and where
    id              INTEGER PRIMARY KEY,
    run_id          INTEGER REFERENCES training_run (id),      -- NULL for a model that was never trained
    environment_id  INTEGER REFERENCES environment (id),
    split_id        INTEGER REFERENCES split (id),             -- the data that it was tried on
    metric          TEXT NOT NULL,                             -- 'accuracy'
    group_name      TEXT NOT NULL DEFAULT '',                  -- for which part of the population; '' is all of it
    value           REAL,
    n_examples      INTEGER CHECK (n_examples >= 0),           -- few examples, little evidence
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE monitoring_event (                                -- a look at a model in use
    id              INTEGER PRIMARY KEY,
    environment_id  INTEGER NOT NULL REFERENCES environment (id),
    run_id          INTEGER REFERENCES training_run (id),      -- which model
    kind            TEXT NOT NULL,                             -- what was watched: 'input drift', 'accuracy'
    statistic       REAL,                                      -- what was measured
    threshold       REAL,                                      -- where it becomes an alarm
    alarm           INTEGER NOT NULL CHECK (alarm IN (0, 1)),
    step            INTEGER CHECK (step >= 0),                 -- when, in batches or days of use
    details         TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(details)),  -- JSON
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;


-- G  Governance: what is claimed, on which evidence, and who answers for it --------------------------------------

CREATE TABLE claim (
    id             INTEGER PRIMARY KEY,
    session_id     INTEGER NOT NULL REFERENCES session (id),
    statement      TEXT NOT NULL CHECK (statement <> ''),      -- in words
    source         TEXT NOT NULL CHECK (source <> ''),         -- the publication, or the reasoning, that it mirrors
    over           TEXT NOT NULL DEFAULT 'everything',         -- what was drawn anew in each replicate
    scale          TEXT NOT NULL DEFAULT 'linear'              -- on which the interval was computed
                   CHECK (scale IN ('linear', 'log', 'logit', 'yes/no')),
    trials         INTEGER CHECK (trials > 0),                 -- logit: yes/no outcomes behind each rate
    at_least       REAL,                                       -- the threshold is one of three: at least,
    at_most        REAL,                                       -- at most,
    within_low     REAL,                                       -- or within
    within_high    REAL,
    n              INTEGER NOT NULL CHECK (n >= 0),            -- replicates
    mean           REAL,
    low            REAL,                                       -- the interval: its two ends are one-sided 95 % bounds
    high           REAL,
    "values"       TEXT NOT NULL CHECK (json_valid("values")), -- JSON list: one measured value a replicate
    control        TEXT CHECK (control IS NULL OR json_valid(control)),  -- JSON list: measured where it should NOT hold
    control_mean   REAL,
    control_is     TEXT,                                       -- what the control is, in words
    no_control     TEXT,                                       -- or else: why there is no control
    verdict        TEXT NOT NULL CHECK (verdict IN ('holds', 'fails', 'empty')),  -- empty: the control passes as well
    demonstration  INTEGER NOT NULL DEFAULT 0 CHECK (demonstration IN (0, 1)),  -- 1: meant to fail; not counted
    created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CHECK ((at_least IS NOT NULL) + (at_most IS NOT NULL) + (within_low IS NOT NULL) = 1),
    CHECK ((within_low IS NULL) = (within_high IS NULL)),
    CHECK (within_low <= within_high),
    CHECK (low <= high)
) STRICT;

CREATE TABLE claim_run (                                       -- which trained models a claim rests on
    claim_id  INTEGER NOT NULL REFERENCES claim (id),
    run_id    INTEGER NOT NULL REFERENCES training_run (id),
    PRIMARY KEY (claim_id, run_id)
) STRICT;

CREATE TABLE prediction (                                      -- what a learner expected before looking
    id           INTEGER PRIMARY KEY,
    session_id   INTEGER NOT NULL REFERENCES session (id),
    question     TEXT NOT NULL CHECK (question <> ''),
    options      TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(options)),  -- JSON list of the possible answers
    answer       TEXT NOT NULL,                                -- the learner's
    confidence   REAL CHECK (confidence BETWEEN 0 AND 1),      -- probability that the learner gave to that answer
    outcome      TEXT,                                         -- what happened; NULL until it is known
    correct      INTEGER CHECK (correct IN (0, 1)),
    created_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    resolved_at  TEXT
) STRICT;

CREATE TRIGGER prediction_resolved                             -- a prediction whose outcome is known gets the time
AFTER UPDATE OF outcome ON prediction
WHEN NEW.outcome IS NOT NULL AND NEW.resolved_at IS NULL
BEGIN
    UPDATE prediction SET resolved_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

CREATE TABLE attempt (                                         -- a learner's answer to an exercise of a lab, checked once
    id               INTEGER PRIMARY KEY,
    session_id       INTEGER NOT NULL REFERENCES session (id),
    lab              TEXT NOT NULL CHECK (lab <> ''),          -- 'lab01_perceptron_to_autodiff'
    exercise         TEXT NOT NULL CHECK (exercise <> ''),     -- 'perceptron'
    checks           INTEGER NOT NULL CHECK (checks > 0),      -- how many were made,
    passed           INTEGER NOT NULL CHECK (passed BETWEEN 0 AND checks),  -- and how many of them were passed
    points           REAL NOT NULL CHECK (points BETWEEN 0 AND points_possible),
    points_possible  REAL NOT NULL,
    created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE review (                                          -- a person's decision about a row of another table
    id             INTEGER PRIMARY KEY,
    subject_table  TEXT NOT NULL                               -- any of these, so REFERENCES cannot guard subject_id
                   CHECK (subject_table IN ('dataset', 'architecture', 'training_run', 'checkpoint', 'environment',
                                            'evaluation', 'claim', 'incident', 'model_card')),
    subject_id     INTEGER NOT NULL,
    reviewer       TEXT NOT NULL CHECK (reviewer <> ''),
    decision       TEXT NOT NULL CHECK (decision IN ('approve', 'revise', 'reject')),
    reasons        TEXT NOT NULL CHECK (reasons <> ''),        -- a decision without a reason is no review
    created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE incident (                                        -- something went wrong in use
    id                   INTEGER PRIMARY KEY,
    environment_id       INTEGER NOT NULL REFERENCES environment (id),
    monitoring_event_id  INTEGER REFERENCES monitoring_event (id),  -- the alarm that found it; NULL if a person did
    severity             TEXT NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    description          TEXT NOT NULL CHECK (description <> ''),
    status               TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'mitigated', 'closed')),
    created_at           TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TABLE model_card (                                      -- the page that tells users what a model is for
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL REFERENCES training_run (id),
    path        TEXT NOT NULL,
    sha256      TEXT NOT NULL CHECK (length(sha256) = 64),
    created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;


-- Indexes: they find the rows of a run without reading the whole table -------------------------------------------

CREATE INDEX training_metric_of_run ON training_metric (run_id);
CREATE INDEX compute_of_run ON compute (run_id);
CREATE INDEX evaluation_of_run ON evaluation (run_id);
CREATE INDEX claims_of_run ON claim_run (run_id);


-- S  The system: one row for each trained model, one or two columns for each letter of (D, A, Θ, C, E, G) --------

CREATE VIEW system AS
SELECT
    training_run.id          AS run_id,
    session.notebook,
    training_run.experiment,
    dataset.name             AS dataset,          -- D
    architecture.name        AS architecture,     -- A
    architecture.n_parameters,
    training_run.status,                          -- Θ
    training_run.final_loss,
    (SELECT group_concat(DISTINCT device) FROM compute WHERE compute.run_id = training_run.id) AS device,  -- C
    (SELECT sum(seconds) FROM compute WHERE compute.run_id = training_run.id) AS seconds,
    (SELECT count(*) FROM evaluation WHERE evaluation.run_id = training_run.id) AS evaluations,            -- E
    (SELECT count(*) FROM claim_run JOIN claim ON claim.id = claim_run.claim_id                            -- G
     WHERE claim_run.run_id = training_run.id AND claim.demonstration = 0) AS claims
FROM training_run
JOIN session ON session.id = training_run.session_id
JOIN architecture ON architecture.id = training_run.architecture_id
JOIN split ON split.id = training_run.split_id
LEFT JOIN dataset ON dataset.id = split.dataset_id;
