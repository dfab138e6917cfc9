"""Signing in to Label Studio: with a legacy token, or with what a personal one buys."""

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import SecretStr

from backend.labeling.shapes import number

EARLY_REFRESH = 30.0  # seconds before its end that an access token counts as spent
UNTOLD = 60.0  # seconds that one lives which does not tell its end, or one that is over already


class SignIn:
    """The header for requests with one token. Safe to use from several threads.

    A personal access token buys access tokens that live for some minutes by the server's clock;
    ``buy`` gives one for it.
    """

    def __init__(self, token: SecretStr | None, buy: Callable[[str], str]) -> None:
        self.token = token
        self._buy = buy
        self._access: tuple[str, float] | None = None  # and when it ends by the server's clock
        self._ahead = 0.0  # seconds that the server's clock is before ours
        self._lock = threading.Lock()

    def header(self) -> dict[str, str]:
        """Empty without a token; may ask for an access token first."""
        if self.token is None:
            return {}
        token = self.token.get_secret_value()
        if not _is_personal(token):
            return {"Authorization": f"Token {token}"}
        with self._lock:
            if self._access is None or self._access[1] - EARLY_REFRESH < self._now():
                access = self._buy(token)
                self._access = access, self._end_of(access)
            return {"Authorization": f"Bearer {self._access[0]}"}

    def note_date(self, date: str | None) -> None:
        """Take the server's clock from the date of an answer, where that can be read."""
        with suppress(ValueError, OverflowError, TypeError):
            self._ahead = parsedate_to_datetime(str(date)).timestamp() - time.time()

    def _now(self) -> float:
        return time.time() + self._ahead

    def _end_of(self, access: str) -> float:
        end, now = number(_claims(access).get("exp")), self._now()
        return end if end is not None and end > now else now + UNTOLD


def _is_personal(token: str) -> bool:
    """Personal access tokens are JWTs, legacy ones 40 hex digits."""
    return token.count(".") == 2


def _claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
