"""`videogem models`: which models there are, which weights are on this machine, and fetching."""

import json
from dataclasses import asdict

import typer


def register(app: typer.Typer) -> None:
    app.command()(models)


def models(
    *,
    everything: bool = typer.Option(
        False, "--all", help="List every model, not only those recommended."
    ),
    contains: str | None = typer.Option(
        None, help="List every model whose name contains this text."
    ),
    fetch: str | None = typer.Option(None, help="Fetch the weights of this model and check them."),
    as_json: bool = typer.Option(False, "--json", help="Print a list of models and nothing else."),
) -> None:
    """List models with size, licence and whether they are here; with --fetch, get one."""
    from videogem.backbones.listing import list_models

    if fetch is not None:
        _fetch(fetch)
        return
    wanted = (contains or "").lower()
    found = [model for model in list_models() if wanted in model.name.lower()]
    listed = found if everything or contains else [model for model in found if model.advice]
    if as_json:
        typer.echo(json.dumps([asdict(model) for model in listed]))
        return
    for line in _table(
        ["model", "weights", "size", "licence", "for"],
        [
            [
                model.name,
                "here" if model.here else "gated" if model.gated else "to fetch",
                f"{model.megabytes} MB",
                model.licence or "not stated",
                model.advice or "",
            ]
            for model in listed
        ],
    ):
        typer.echo(line)
    if len(listed) < len(found):
        typer.echo(f"\n{len(found) - len(listed)} more: videogem models --all")
    typer.echo(
        "Weights to fetch come from the Hugging Face hub at their first use, or now with "
        "--fetch NAME.\n"
        "Local files: 'ViT-B-16:/path/weights.safetensors', 'ViCLIP-B-16:/path/weights.pth', or a "
        "file with its open_clip_config.json beside it."
    )


def _fetch(name: str) -> None:
    from rich.console import Console

    from videogem.backbones.zoo import load_backbone

    console = Console(highlight=False)
    with console.status(f"Fetching {name} …"):
        backbone = load_backbone(name, device="cpu")
    console.print(f"{name} is here: {backbone.num_blocks} blocks, patch {backbone.patch_size}.")


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines with columns as wide as their widest text (the sizes flush right)."""
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    return [
        "  ".join(
            text.rjust(width) if column == "size" else text.ljust(width)
            for column, text, width in zip(head, row, widths, strict=True)
        ).rstrip()
        for row in [head, *rows]
    ]
