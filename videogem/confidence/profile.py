"""A project's own settings and score under a name, as calibration makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from videogem.confidence.model import Scoring
from videogem.errors import InputError
from videogem.method.settings import method_settings


@dataclass(frozen=True)
class Profile:
    """Changes of a method's settings and, where there is one, the score made for them.

    ``made`` says what of, when, and what it gained; it changes no number.
    """

    name: str
    model: str
    method: str
    settings: Mapping[str, Any]
    scoring: Scoring | None
    made: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": self.model,
            "method": self.method,
            "settings": dict(self.settings),
            "scoring": None if self.scoring is None else self.scoring.as_json(),
            "made": dict(self.made),
        }

    @classmethod
    def from_json(cls, data: Any) -> "Profile":
        """
        Raises:
            InputError: it is no profile, or its settings are none of the method's.
        """
        try:
            settings = {
                str(name): tuple(value) if isinstance(value, list) else value
                for name, value in data["settings"].items()
            }
            scoring = data["scoring"]
            found = cls(
                str(data["name"]),
                str(data["model"]),
                str(data["method"]),
                settings,
                None if scoring is None else Scoring.from_json(scoring),
                dict(data["made"]),
            )
        except InputError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"This is no profile as videogem writes it ({error!r}).") from None
        method_settings(found.method, **settings)
        return found
