CREATE TABLE configs (project INTEGER PRIMARY KEY, config TEXT NOT NULL);
CREATE TABLE jobs (
    project INTEGER NOT NULL,
    task INTEGER NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL,
    prediction TEXT,
    not_before REAL NOT NULL DEFAULT 0,
    updated REAL NOT NULL,
    PRIMARY KEY (project, task, version)
);
CREATE INDEX jobs_by_state ON jobs (state, not_before);
INSERT INTO configs VALUES (1, '<View/>');
INSERT INTO jobs VALUES
    (1, 1, 'v1', 'queued', NULL, 0, '{"id": 1, "data": {}}', NULL, 0, 1),
    (1, 2, 'v1', 'running', NULL, 1, '{"id": 2, "data": {}}', NULL, 0, 2),
    (1, 3, 'v1', 'ready', 'later', 1, '{"id": 3, "data": {}}',
     '{"result": [], "score": 0.5, "model_version": "v1"}', 0, 3),
    (1, 4, 'v1', 'failed', 'no frame', 1, '{"id": 4, "data": {}}', NULL, 0, 4),
    (1, 5, 'v1', 'done', NULL, 1, '{"id": 5, "data": {}}', NULL, 0, 5);
