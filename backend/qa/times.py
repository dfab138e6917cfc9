"""Times as sortable text."""

from datetime import UTC, datetime, timedelta


def now() -> str:
    """This moment, UTC."""
    return _text(datetime.now(UTC))


def normalise(value: object) -> str:
    """A time as Label Studio writes it (ISO, any zone), in the store's form; '' if it is none.

    >>> normalise("2026-11-23T01:00:00+01:00")
    '2026-11-23T00:00:00.000000Z'
    """
    if not isinstance(value, str):
        return ""
    try:
        moment = datetime.fromisoformat(value.strip())
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return _text(moment) if 1970 <= moment.year < 9999 else ""


def later(text: str, seconds: float) -> str:
    """A stored time moved by some seconds."""
    return _text(datetime.fromisoformat(text) + timedelta(seconds=seconds))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
