"""The profiles of this backend: kept by name in its data folder, one of them in use.

Which one is in use is read when a model is made, never during a request: its settings and score are
part of the model version, which Label Studio must find the same from start to end.
"""

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from backend.settings import Settings
from videogem.confidence.profile import Profile
from videogem.errors import InputError

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SHIPPED = "shipped"  # how the state without a profile is called


class Profiles:
    """A folder of profiles, and the order in which they were put in use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "profiles"
        self._order = self._folder / "in_use.json"

    def names(self) -> list[str]:
        found = self._folder.glob("*.profile.json")
        return sorted(path.name.removesuffix(".profile.json") for path in found)

    def get(self, name: str) -> Profile:
        """
        Raises:
            InputError: there is none of this name, or its file is damaged.
        """
        path = self._path(name)
        try:
            data = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            known = ", ".join([SHIPPED, *self.names()])
            raise InputError(f"There is no profile '{name}'; there are: {known}.") from None
        except (OSError, ValueError) as error:
            raise InputError(f"The profile '{path}' cannot be read: {error}.") from None
        return Profile.from_json(data)

    def check_name(self, name: str) -> None:
        """
        Raises:
            InputError: no file can be called so.
        """
        self._path(name)

    def keep(self, profile: Profile) -> None:
        """Write a profile and put it in use. One of its name is not written over.

        Raises:
            InputError: the name is taken, or none a file can have.
        """
        with self._lock():
            path = self._path(profile.name)
            if path.exists():
                raise InputError(
                    f"There is a profile '{profile.name}' already; give another --name."
                )
            _write(path, profile.as_json())
            self._put([*self._past(), profile.name])

    def use(self, name: str) -> None:
        """
        Raises:
            InputError: there is none of this name, or its file is damaged.
        """
        if name != SHIPPED:
            self.get(name)
        with self._lock():
            self._put([*self._past(), name])

    def undo(self) -> str:
        """Go one step back; returns the name of what is in use then.

        Raises:
            InputError: nothing was put in use.
        """
        with self._lock():
            past = self._past()
            if not past:
                raise InputError("No profile is in use, so there is nothing to undo.")
            self._put(past[:-1])
            return past[-2] if len(past) > 1 else SHIPPED

    def in_use(self) -> Profile | None:
        """
        Raises:
            InputError: it is damaged, or gone.
        """
        past = self._past()
        return None if not past or past[-1] == SHIPPED else self.get(past[-1])

    def free_name(self, wanted: str) -> str:
        """The name itself, or with the next free number."""
        taken, number = {*self.names(), SHIPPED}, 2
        found = wanted
        while found in taken:
            found, number = f"{wanted}-{number}", number + 1
        return found

    def _past(self) -> list[str]:
        try:
            return [str(name) for name in json.loads(self._order.read_text("utf-8"))]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"'{self._order}' cannot be read: {error}.") from None

    def _put(self, past: list[str]) -> None:
        _write(self._order, past)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name == SHIPPED:
            raise InputError(
                f"A profile's name is up to 64 letters, digits, '-' and '_', and not "
                f"'{SHIPPED}'; got '{name[:80]}'."
            )
        return self._folder / f"{name}.profile.json"

    def _lock(self) -> FileLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._folder / "lock")


def profile_of(settings: Settings) -> Profile | None:
    """The profile in use, if it is one of the configured model and method."""
    profile = Profiles(settings.data_dir).in_use()
    if profile is None:
        return None
    if (profile.model, profile.method) != (settings.model, settings.method):
        logger.warning(
            "the profile '%s' is one of %s with %s and is not used for %s with %s",
            profile.name, profile.model, profile.method, settings.model, settings.method,
        )  # fmt: skip
        return None
    return profile


def profile_named(
    data_dir: Path, name: str | None, model: str, method: str, *, unusual: Sequence[str] = ()
) -> Profile | None:
    """The profile a command was asked for; without a name the one in use, where it is meant.

    ``unusual`` are the options given that change what a profile's score was fitted for.

    Raises:
        InputError: the one named is not there, or is none for this model, method and options.
    """
    profiles = Profiles(data_dir)
    if name == SHIPPED:
        return None
    profile = profiles.in_use() if name is None else profiles.get(name)
    if profile is None:
        return None
    fits = (profile.model, profile.method) == (model, method)
    if fits and not unusual:
        return profile
    if name is None:
        return None
    if not fits:
        raise InputError(
            f"The profile '{name}' is one of {profile.model} with {profile.method}, not of {model} "
            f"with {method}."
        )
    raise InputError(
        f"The profile '{name}' was not fitted for {', '.join(unusual)}; leave one of them out."
    )


def settings_of(profile: Profile | None) -> dict[str, Any]:
    """What `planned_version` and `load_grounder` take."""
    return {} if profile is None else {**profile.settings, "scoring": profile.scoring}


def _write(path: Path, data: Any) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    part.replace(path)
