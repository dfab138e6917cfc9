"""How accurate everything predicted is, what to review next, and what is accepted in bulk."""

from backend.database.keys import ProjectKey
from backend.qa.estimates.accepting import watch
from backend.qa.estimates.project import complete_rounds, estimate_project
from backend.qa.estimates.rounds import kept, plans
from backend.qa.events import Row
from backend.qa.store import Store
from backend.qa.tab import Asked, Kept, Tab

_kept = Kept()


def context(asked: Asked) -> Row:
    """Of the project that is chosen, or of the only one."""
    project = asked.one_project()
    if project is None:
        return {"project": None}
    drawn = len(kept(asked.store, project, "plan"))
    found = _kept.get(asked.store, project, _estimate, also=drawn)
    return {"project": project, "rules": watch(asked.store, project), **found}


def _estimate(store: Store, project: ProjectKey) -> Row:
    found = estimate_project(store, project)
    rounds = plans(store, project, found.population.model_version)
    return {
        "estimate": found.row(),
        "rounds": len(rounds),
        "rounds_done": len(complete_rounds(found.population.tasks, rounds)),
    }


TAB = Tab("plan", "Plan", "/qa/plan", 4, context, always=True)
