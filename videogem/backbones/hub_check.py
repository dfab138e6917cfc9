"""`make hub-check`: does the hub have what the list of weights says? (needs the internet)

Each repository is asked for its files, their sizes, its licence and whether it is gated; nothing is
downloaded. Ends with 1 where something differs, and says what to write into the list.
"""

import sys
from collections.abc import Callable, Iterator

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import ModelInfo

from videogem.backbones.manifest import HubWeights, hub_weights
from videogem.errors import first_line

TOLERANCE = 0.03  # of the size; the list rounds, and files have headers


def differences(weights: HubWeights, found: ModelInfo) -> Iterator[str]:
    """What the hub says of a repository that the list does not."""
    sizes = {file.rfilename: file.size for file in found.siblings or []}
    present = [file for file in weights.files if file in sizes]
    if not present:
        yield f"none of {', '.join(weights.files)} is there; there are: {', '.join(sorted(sizes))}"
    for size in [size for size in [sizes.get(present[0])] if size] if present else []:
        if abs(size / 1e6 - weights.megabytes) > TOLERANCE * weights.megabytes + 1:
            yield f"megabytes: {round(size / 1e6)}, the list says {weights.megabytes}"
    if bool(found.gated) != weights.gated:
        yield f"gated: {bool(found.gated)}, the list says {weights.gated}"
    licence = found.card_data.get("license") if found.card_data else None
    if licence != weights.licence:
        yield f"licence: {licence}, the list says {weights.licence}"


def check(ask: Callable[[str], ModelInfo]) -> list[str]:
    """One line per difference, over the whole list."""
    lines = []
    for weights in hub_weights().values():
        try:
            found = ask(weights.repository)
        except (OSError, HfHubHTTPError) as error:
            lines.append(f"{weights.name}: {weights.repository}: {first_line(error)}")
            continue
        lines += [
            f"{weights.name}: {weights.repository}: {line}" for line in differences(weights, found)
        ]
    return lines


def main() -> int:
    lines = check(lambda repository: HfApi().model_info(repository, files_metadata=True))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    count = len(hub_weights())
    sys.stdout.write(f"{count} models asked for, {len(lines)} differences\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
