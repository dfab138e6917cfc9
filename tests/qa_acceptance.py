"""What bulk acceptance and the rating of annotators must do on every database."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from backend.database import schema
from backend.database.engine import MIGRATIONS, migrate, open_engine
from backend.qa.estimates.accepting import end, follow, look, start_rule
from backend.qa.estimates.annotators import rate_annotators
from backend.qa.estimates.rules import counts
from backend.qa.store import Store
from tests.fake_acceptance import FakeBulk
from tests.review_world import PROJECT, stored_project

PROMISE = {"precision": 0.95, "confidence": 0.9}


def quiet(done: int, total: int | None) -> None:
    """Nobody is told."""


def check_acceptance(store: Store) -> None:
    """A rule is found, followed and taken back; people who did the same tasks are rated."""
    made = stored_project(store, 150, accuracy=1.0)
    for person in (1, 2):
        made.review(range(0, 150, 2), annotator=person)
    rule = start_rule(store, PROJECT, look(store, PROJECT, **PROMISE), **PROMISE)
    api = FakeBulk(made.made.scores)
    rule, accepted = follow(store, api, PROJECT, rule, quiet)
    assert accepted == counts(store, rule)["made"] == len(api.made()) > 50
    end(store, api, PROJECT, rule, quiet)
    assert counts(store, rule)["removed"] == accepted
    found = rate_annotators(store, PROJECT)
    assert [(row["annotator"], row["tasks"]) for row in found["annotators"]] == [(1, 75), (2, 75)]


def check_migration_of_0010(url: str) -> None:
    """Up from the revision before, and down again, with the rules still there."""
    engine = open_engine(url)
    migrate(engine, "0010")
    assert not sa.inspect(engine).has_table("accepted_tasks")
    store = Store(url)
    check_acceptance(store)
    kept = len(store.rows(schema.review_rounds))
    store.close()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0010")
    assert not sa.inspect(engine).has_table("accepted_tasks")
    migrate(engine)
    assert sa.inspect(engine).has_table("accepted_tasks")
    with engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(schema.review_rounds)
        assert connection.execute(count).scalar() == kept == 2  # the look and the rule
    engine.dispose()
