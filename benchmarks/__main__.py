"""All speed figures of this project on one machine: `python -m benchmarks [--device cuda|cpu]`.

First of all how this project compares with the literal formulation in the same run, which holds on
other machines too; then stages, batch sizes, memory and what share of the machine's own matrix
product is reached. Random weights, three prompts a frame.
"""

import platform
from datetime import date
from typing import Annotated

import torch
import typer

from benchmarks import cpu_clip, cpu_curves, cpu_frame, gpu
from benchmarks.gpu import write
from benchmarks.operations import count_operations


def main(
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")] = (
        "auto"
    ),
    models: Annotated[str, typer.Option(help="On a GPU: B, Q (QuickGELU), L, V (ViCLIP).")] = (
        "B,Q,L,V"
    ),
    repeats: Annotated[int, typer.Option(help="On a CPU: repetitions.")] = 5,
) -> None:
    """Print this machine's figures."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    write(f"{date.today()}, {platform.platform()}, torch {torch.__version__}")
    literal, ours = count_operations()
    write(
        f"operations of ViT-B/16, one frame and three prompts seen before: "
        f"{ours / 1e9:.1f} GFLOP, {ours / literal:.2f} of literal"
    )
    if device == "cuda":
        gpu.main(models)
    else:
        cpu_clip.main(repeats=repeats)  # first, for its memory is what a process holds
        cpu_frame.main(repeats=repeats)
        cpu_curves.main(repeats=repeats)


if __name__ == "__main__":
    typer.run(main)
