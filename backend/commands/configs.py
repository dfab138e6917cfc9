"""`videogem configs`: the ready labeling configs, to paste into Label Studio."""

import typer


def register(app: typer.Typer) -> None:
    app.command()(configs)


def configs(
    name: str | None = typer.Argument(
        None, help="Print this one as XML; left out, the names of all are printed."
    ),
) -> None:
    """Ready labeling configs: what there is, and each as XML to paste into Label Studio."""
    from backend.labeling.ready import about, ready_config, ready_configs

    if name is not None:
        typer.echo(ready_config(name))
        return
    for known, config in ready_configs().items():
        typer.echo(f"{known:<12} {about(config)}")
