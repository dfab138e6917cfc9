"""Tables of the quality store and of the job list.

``inbox`` is the truth: every webhook as it came, in order of arrival. ``projects``, ``tasks``,
``annotations`` and ``predictions`` are the state those events lead to, ``scores`` and ``flags`` are
computed from that state and can be dropped and rebuilt at any time. ``score_changes`` numbers the
last change of each task's scores (`backend.database.changes`); ``kept_ledger`` has all of them as
columns, as of one change, for processes that start (`backend.qa.kept_ledger`).
``project_servers`` is what /setup told: which server the project with this id and creation (Unix
time) is on.
``quality_targets`` is what accuracy a project has to reach. ``project_webhooks`` is how each
project calls this backend (``host``, from /setup), and what was found of the webhook that reports
its corrections.

``replicas`` are the backends on this database, with their model's version and state, and when they
were last seen (Unix time, the database's clock).

``review_rounds`` are draws of tasks to review (kind ``plan``), looks for a threshold from which on
predictions may be accepted (``look``), and the rules that came of them (``accept``). They cannot be
worked out anew. ``accepted_tasks`` are the tasks that a rule took (`backend.qa.estimates.rules`).

``audit_marks`` are what people said of suspects, one row each time. The last row of an annotation's
frame counts while the annotation is as it was ``seen``. They cannot be worked out anew either.

Ids are Label Studio's and unique on one ``server`` only (`backend.database.keys`).

Times are ISO strings in UTC with microseconds (``2026-01-31T12:00:00.000000Z``), so that the order
of strings is the order of time on every database.

``jobs`` are wishes for predictions. What a project asks for now, its version and the hash of its
labeling config, is in ``job_projects``; the configs' texts are in ``job_configs``. Their times are
Unix seconds, since they are only ever compared with the clock. Until ``saving_until`` Label Studio
may be saving a prediction that it was sent and has not answered for.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("received_at", sa.String(32), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("server", sa.String(400), nullable=False, default="", server_default=""),
    sa.Column("processed_at", sa.String(32)),
    sa.Column("error", sa.Text),
    sa.Index("inbox_pending", "processed_at", "id"),
    sa.Index(
        "inbox_failed",
        "id",
        sqlite_where=sa.text("error IS NOT NULL"),
        postgresql_where=sa.text("error IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("title", sa.Text, nullable=False, default=""),
    sa.Column("label_config", sa.Text, nullable=False, default=""),
    sa.Column("version", sa.String(40), nullable=False, default=""),
    sa.Column("deleted_at", sa.String(32)),
    sa.Column("sync_error", sa.Text),  # why the last sync with Label Studio failed or stopped
    sa.Column("synced_at", sa.String(32)),  # when it last agreed with Label Studio
    sa.Column("sync_begun", sa.Float),  # when that comparison began, by the database's clock
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("project_id", sa.Integer, index=True),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("version", sa.String(40), nullable=False, default=""),
    sa.Column("deleted_at", sa.String(32)),
)

annotations = sa.Table(
    "annotations",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("project_id", sa.Integer, index=True),
    sa.Column("task_id", sa.Integer, index=True),
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("was_cancelled", sa.Boolean, nullable=False, default=False),
    sa.Column("ground_truth", sa.Boolean, nullable=False, default=False),
    sa.Column("parent_prediction", sa.Integer),
    sa.Column("annotator", sa.Integer),
    sa.Column("lead_time", sa.Float),
    sa.Column("created_at", sa.String(32), nullable=False, default=""),
    sa.Column("version", sa.String(40), nullable=False, default=""),
    sa.Column("deleted_at", sa.String(32)),
)

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("label_studio_id", sa.Integer, index=True),
    sa.Column("project_id", sa.Integer, index=True),
    sa.Column("task_id", sa.Integer, index=True, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False, default=""),
    sa.Column("score", sa.Float),
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False, default=""),
)

scores = sa.Table(
    "scores",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("annotation_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("task_id", sa.Integer, nullable=False, index=True),
    sa.Column("project_id", sa.Integer, index=True),
    sa.Column("counted", sa.Boolean, nullable=False),
    sa.Column("hit", sa.Boolean),
    sa.Column("data", sa.JSON, nullable=False),
)

score_changes = sa.Table(
    "score_changes",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("task_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("change", sa.BigInteger, nullable=False, index=True),
)

kept_ledger = sa.Table(
    "kept_ledger",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("change", sa.BigInteger, nullable=False),
    sa.Column("rules", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

review_rounds = sa.Table(
    "review_rounds",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("server", sa.String(400), nullable=False, default=""),
    sa.Column("project_id", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Index("review_rounds_of_project", "server", "project_id", "id"),
    sqlite_autoincrement=True,
)

audit_marks = sa.Table(
    "audit_marks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("server", sa.String(400), nullable=False, default=""),
    sa.Column("project_id", sa.Integer),
    sa.Column("task_id", sa.Integer),
    sa.Column("annotation_id", sa.Integer, nullable=False),
    sa.Column("item", sa.Integer, nullable=False),
    sa.Column("version", sa.String(40), nullable=False),  # of the annotation
    sa.Column("seen", sa.String(64), nullable=False),  # digest of its regions
    sa.Column("reasons", sa.JSON, nullable=False),  # codes for which it was suspected
    sa.Column("verdict", sa.String(8), nullable=False),  # fine, fix, or open: taken back
    sa.Column("marked_by", sa.String(100), nullable=False, default=""),
    sa.Column("marked_at", sa.String(32), nullable=False),
    sa.Column("note", sa.Text),
    sa.Index("audit_marks_of_project", "server", "project_id", "id"),
    sqlite_autoincrement=True,
)

accepted_tasks = sa.Table(
    "accepted_tasks",
    metadata,
    sa.Column("rule", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("task_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("prediction_id", sa.Integer),
    sa.Column("annotation_id", sa.Integer),
    sa.Column("made_at", sa.String(64)),
)

project_servers = sa.Table(
    "project_servers",
    metadata,
    sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("created", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("server", sa.String(400), nullable=False),
)

quality_targets = sa.Table(
    "quality_targets",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_least", sa.Float, nullable=False),
    sa.Column("measure", sa.String(16), nullable=False),
)

project_webhooks = sa.Table(
    "project_webhooks",
    metadata,
    sa.Column("server", sa.String(400), primary_key=True, default=""),
    sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("host", sa.String(300), nullable=False, default=""),
    sa.Column("state", sa.String(16), nullable=False, default="unknown"),
    sa.Column("words", sa.Text, nullable=False, default=""),
    sa.Column("at", sa.Float, nullable=False, default=0.0),
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("machine", sa.String(200), nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

PREDICTIONS_KNOWN = "predictions_known"  # the fact that says how many there are

job_configs = sa.Table(
    "job_configs",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)

job_projects = sa.Table(
    "job_projects",
    metadata,
    sa.Column("server", sa.Text, primary_key=True),
    sa.Column("project", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("config_hash", sa.String(64), nullable=False),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("server", sa.Text, nullable=False),
    sa.Column("project", sa.Integer, nullable=False),
    sa.Column("task", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("config_hash", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("leased_until", sa.Float, nullable=False, default=0.0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("reason", sa.Text),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prediction", sa.Text),
    sa.Column("not_before", sa.Float, nullable=False, default=0.0),
    sa.Column("saving_until", sa.Float, nullable=False, default=0.0, server_default="0"),
    sa.Column("updated", sa.Float, nullable=False),
    sa.UniqueConstraint("server", "project", "task", "version", name="one_job"),
    sa.Index("jobs_by_state", "state", "id"),
    sqlite_autoincrement=True,
)
