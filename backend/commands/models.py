"""`videogem models`: which models there are, which weights are on this machine, and fetching."""

import typer


def register(app: typer.Typer) -> None:
    app.command()(models)


def models(
    *,
    contains: str = typer.Option("", help="List only names that contain this text."),
    fetch: str | None = typer.Option(None, help="Fetch the weights of this model and check them."),
) -> None:
    """List models and say which weights are present; with --fetch, get one."""
    from rich.console import Console
    from rich.table import Table

    from videogem.backbones.listing import list_models
    from videogem.backbones.zoo import load_backbone

    console = Console(highlight=False)
    if fetch is not None:
        with console.status(f"Fetching {fetch} …"):
            backbone = load_backbone(fetch, device="cpu")
        console.print(
            f"{fetch} is here: {backbone.num_blocks} blocks, patch {backbone.patch_size}."
        )
        return
    table = Table("model", "weights", box=None)
    for name, present in list_models():
        if contains.lower() in name.lower():
            table.add_row(name, "here" if present else "to be fetched")
    console.print(table)
    console.print(
        "Local files: 'ViT-B-16:/path/weights.safetensors', 'ViCLIP-B-16:/path/weights.pth', or a "
        "file with its model_config.json beside it.",
        soft_wrap=True,
    )
