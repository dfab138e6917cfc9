"""The report as one file: its suspects with their pictures and the way to their tasks."""

import base64
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.media.media import Media
from backend.qa.exports import report_html
from backend.qa.store import Store
from backend.qa.views import annotator_text, thumbnail
from backend.web.quality_pictures import frame_jpeg
from videogem.errors import InputError

logger = logging.getLogger(__name__)
MOST_PICTURES = 24
PICTURES_S = 30.0  # seconds for all pictures; the others are left out, and counted


@dataclass(frozen=True)
class MediaOnly:
    """What pictures without heatmaps need of the service."""

    media: Media


def report_file(
    store: Store,
    media: Media | None,
    found: dict[str, Any],
    link: Callable[[dict[str, Any]], str | None],
    person: Callable[[object], str] = annotator_text,
) -> str:
    """The report as an HTML text that needs nothing else.

    ``link`` gives the address of a suspect's task, ``person`` the name of an annotator.
    Pictures that cannot be had are left out, and so are the suspects where ``found`` has None of
    them (`exports.NO_AUDIT`).
    """
    until = time.monotonic() + PICTURES_S
    cards = [
        {
            **suspect,
            **thumbnail(store, suspect),
            "link": link(suspect),
            "picture": _picture(store, media, suspect) if time.monotonic() < until else None,
        }
        for suspect in (found["audit"] or ())[:MOST_PICTURES]
    ]
    return report_html(found, cards, person)


def _picture(store: Store, media: Media | None, suspect: dict[str, Any]) -> str | None:
    if media is None:
        return None
    place = suspect["server"], suspect["annotation_id"], suspect["item"]
    try:
        data = frame_jpeg(store, MediaOnly(media), *place)
    except InputError as error:
        logger.info("no picture of annotation %d: %s", suspect["annotation_id"], error)
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
