"""The ledger's columns as the database keeps them for the next process.

Reading a hundred thousand reviewed points row by row takes half a minute; their columns, a second.
They are kept in the database, not in a file, so that a copy of it that is put back brings what
belongs to it, and every backend on it can begin with them.
"""

import hashlib
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from backend.database.schema import kept_ledger
from backend.qa import agreement, figures, flat, table
from backend.qa.agreement import Overlaps
from backend.qa.table import PLAIN, Names, Table, Vocabulary

logger = logging.getLogger(__name__)

_DAMAGE = (zlib.error, zipfile.BadZipFile, ValueError, KeyError, EOFError)
_QUICK = 1  # of zlib's levels: to pack columns of small numbers, the others take longer for little


@dataclass(frozen=True)
class KeptLedger:
    """What a ledger knew at one moment, see `backend.qa.ledger`."""

    version: tuple[int, int]  # of the scores: last rebuilding, last change
    rows: Table
    overlaps: Overlaps
    unreadable: np.ndarray  # (num_unreadable, 2) numbers of task and project


@cache
def rules() -> str:
    """Says by what code columns are made of score rows: those made by other code are not used."""
    digest = hashlib.blake2b(digest_size=16)
    for module in (agreement, figures, flat, table):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def kept_version(connection: sa.Connection) -> tuple[int, int] | None:
    """The version of the scores that is kept, if this code can read it."""
    c = kept_ledger.c
    query = sa.select(c.epoch, c.change).where(c.rules == rules())
    found = connection.execute(query).first()
    return None if found is None else (found.epoch, found.change)


def read_kept(connection: sa.Connection, version: tuple[int, int]) -> KeptLedger | None:
    """What is kept, if this code can read it and it leads to this version of the scores."""
    c = kept_ledger.c
    query = sa.select(c.epoch, c.change, c.body).where(
        c.rules == rules(), c.epoch == version[0], c.change <= version[1]
    )
    found = connection.execute(query).first()
    if found is None:
        return None
    try:
        return _unpack((found.epoch, found.change), found.body)
    except _DAMAGE as error:
        logger.warning("the kept columns of the figures cannot be read (%s): all rows are", error)
        return None


def _unpack(version: tuple[int, int], body: bytes) -> KeptLedger:
    with np.load(io.BytesIO(zlib.decompress(body)), allow_pickle=False) as parts:
        columns = {name: parts[name] for name in parts.files}
    vocabulary = _vocabulary(columns["names"].tobytes())

    def of(kind: str) -> dict[str, np.ndarray]:
        start = f"{kind}."
        return {n.removeprefix(start): c for n, c in columns.items() if n.startswith(start)}

    rows, overlaps = Table(of("rows"), vocabulary), Overlaps(of("overlaps"))
    return KeptLedger(version, rows, overlaps, columns["unreadable"])


def pack(kept: KeptLedger, names: Mapping[str, Sequence[object]]) -> bytes:
    """The bytes that are kept of it; ``names`` are the values of its vocabulary by column."""
    text = json.dumps(names).encode()
    columns = {f"rows.{name}": kept.rows[name] for name in kept.rows.names}
    columns |= {f"overlaps.{name}": column for name, column in kept.overlaps.columns.items()}
    columns |= {"unreadable": kept.unreadable, "names": np.frombuffer(text, np.uint8)}
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **columns)
    return zlib.compress(packed.getbuffer(), _QUICK)


def keep(connection: sa.Connection, version: tuple[int, int], body: bytes) -> None:
    """Put it in the place of what is kept, within a transaction that may write."""
    connection.execute(kept_ledger.delete())
    row = {"id": 1, "epoch": version[0], "change": version[1], "rules": rules(), "body": body}
    connection.execute(kept_ledger.insert(), row)


def _vocabulary(text: bytes) -> Vocabulary:
    names = json.loads(text)
    return Vocabulary(
        {
            column: Names.of(values if column in PLAIN else list(map(tuple, values)))
            for column, values in names.items()
        }
    )
