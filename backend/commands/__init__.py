"""The commands of `videogem`, one module each.

A module defines ``register(app: typer.Typer) -> None``. Heavy imports (torch, the decoder, the
database) belong inside the command's function, so that ``videogem --help`` answers at once.
"""
