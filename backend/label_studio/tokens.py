"""What can be read from Label Studio's tokens without knowing their secret."""

import base64
import binascii
import json
from typing import Any

FOR_EVER = 1e11  # seconds; no clock tells more


def is_personal(token: str) -> bool:
    """Personal access tokens are JWTs, legacy ones 40 hex digits."""
    return token.count(".") == 2


def end_of(access: str) -> float | None:
    """When an access token ends, by the clock of who made it (Unix time); None: it does not say."""
    ends = _claims(access).get("exp")
    if isinstance(ends, bool) or not isinstance(ends, int | float):
        return None
    return float(ends) if abs(ends) < FOR_EVER else None


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1] if is_personal(token) else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
