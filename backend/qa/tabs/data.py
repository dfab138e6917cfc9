"""Where the figures come from and go to: projects, pre-labelling, webhooks, exports."""

import sqlalchemy as sa

from backend.database import schema
from backend.database.keys import ProjectKey, project_text
from backend.qa.events import Row
from backend.qa.tab import Asked, Tab


def context(asked: Asked) -> Row:
    """Projects and when each last agreed with Label Studio; videos by their reviewed points."""
    table = schema.projects
    columns = [table.c[name] for name in ("server", "id", "title", "sync_error", "synced_at")]
    with asked.store.read() as connection:
        query = sa.select(*columns).where(table.c.deleted_at.is_(None)).order_by(*table.primary_key)
        rows = [dict(row) for row in connection.execute(query).mappings()]
    several = len({row["server"] for row in rows}) > 1
    projects = []
    for row in rows:
        key = ProjectKey(row["server"], row["id"])
        value = project_text(key if several else key._replace(server=""))
        projects.append({**row, "key": key, "value": value, "several": several})
    chosen = asked.filters.project
    if chosen is not None:
        projects = [
            each
            for each in projects
            if each["id"] == chosen.id and chosen.server in ("", each["server"])
        ]
    return {"projects": projects, "videos": asked.report["breakdowns"]["video"]}


TAB = Tab("data", "Data", "/qa/data", 5, context, always=True)
