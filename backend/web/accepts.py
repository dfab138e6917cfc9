"""Whether a person with a browser asks, or a program."""

from flask import request


def wants_html() -> bool:
    """Whether HTML is liked better than JSON; who likes both the same gets JSON."""
    kinds = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"
