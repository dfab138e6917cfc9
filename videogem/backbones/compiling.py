"""A tower compiled in the background: it runs as it is written until then, and faster after that.

Compiling takes from seconds to a minute, in which nobody waits. What is compiled holds for the
shapes it was made ready for; other shapes run as written, so that none ever stops to compile.
"""

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from videogem.backbones.base import BlockOutput, Part, block_forward
from videogem.method.attention import KeptRows
from videogem.method.backbone import ImageTokens

logger = logging.getLogger(__name__)

GRAPHS = 64  # per function: two kinds of blocks and the last, for each batch size of each model


class BlockForward:
    """`block_forward`, or its compiled form for what it is ready for. Safe between threads.

    ``backend`` is torch's name of a compiler.
    """

    def __init__(self, backend: str = "inductor") -> None:
        self._backend = backend
        self._compiled: Any = None
        self._ready: frozenset[Hashable] = frozenset()
        self._compiling = threading.local()

    def __call__(
        self, block: Any, tokens: Tensor, part: Part, rows: KeptRows | None
    ) -> BlockOutput:
        key = (tuple(tokens.shape), part, None if rows is None else (rows.first, rows.step))
        seen: set[Hashable] | None = getattr(self._compiling, "seen", None)
        if seen is not None:
            seen.add(key)
        elif key not in self._ready:
            return block_forward(block, tokens, part, rows)
        output: BlockOutput = self._compiled(block, tokens, part, rows)
        return output

    @property
    def ready(self) -> bool:
        """Whether anything runs compiled by now."""
        return bool(self._ready)

    def prepare(self, walk: Callable[[], Any]) -> None:
        """Compile what ``walk``, a pass of the tower, needs.

        What cannot be compiled here (without a C compiler, say) is told in the log, and runs as
        written.
        """
        if self._compiled is None:
            config = torch._dynamo.config
            config.recompile_limit = max(GRAPHS, config.recompile_limit)
            self._compiled = torch.compile(block_forward, backend=self._backend, dynamic=False)
        seen = self._compiling.seen = set[Hashable]()
        try:
            walk()
        except Exception as error:  # compilers fail in many ways, and none may stop the tower
            logger.warning(
                "The image tower could not be compiled and runs as written: %s: %s",
                type(error).__name__,
                " ".join(str(error).split())[:300],
            )
        else:
            self._ready = self._ready | seen
        finally:
            del self._compiling.seen


def _record(run: Callable[[], Any], device: torch.device) -> tuple[Any, Any]:
    """A CUDA graph of what a call launches, and the tensors that each replay writes anew."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(2):  # libraries set themselves up in the first pass
            run()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        output = run()
    return graph, output


class TowerGraphs:
    """Passes over small and full batches as CUDA graphs: one launch in place of hundreds.

    A pass over one frame takes a GPU longer to be told than to compute, and one over a full batch
    is told by a thread that others keep waiting. Safe between threads.
    """

    sizes = (1, 2, 4, 8)

    def __init__(self) -> None:
        self._graphs: dict[Hashable, tuple[Any, Tensor, ImageTokens]] = {}
        self._lock = threading.Lock()

    def prepare(self, encode: Callable[[Tensor], ImageTokens], pixels: Tensor, key: object) -> None:
        """Record a pass over as many samples as ``pixels`` has; others may compute meanwhile.

        What cannot be recorded is told in the log, and runs as written.
        """
        static = pixels.clone()
        try:
            graph, tokens = _record(lambda: encode(static), pixels.device)
        except Exception as error:  # as above: nothing may stop the tower
            logger.warning("Small batches are not recorded: %s", " ".join(str(error).split())[:300])
            return
        self._graphs[(tuple(pixels.shape), key)] = (graph, static, tokens)

    def replay(self, pixels: Tensor, key: object) -> ImageTokens | None:
        """Tokens of a small batch; None where no graph was recorded for it."""
        count = len(pixels)
        size = next((size for size in self.sizes if size >= count), count)
        found = self._graphs.get(((size, *pixels.shape[1:]), key))
        if found is None:
            return None
        graph, static, tokens = found
        with self._lock:  # until the tokens are copied no other replay may write over them
            static[:count].copy_(pixels)
            graph.replay()
            return tokens.samples(range(count))


class PlaceGraphs:
    """What follows the tower, for batches of one size and number of prompts, as CUDA graphs.

    Some forty short kernels, each of which takes longer to be told than to run. Safe between
    threads.
    """

    def __init__(self) -> None:
        self._graphs: dict[Hashable, tuple[Any, tuple[Tensor, ...], Tensor]] = {}
        self._lock = threading.Lock()

    def prepare(
        self, find: Callable[[ImageTokens, Tensor], Tensor], tokens: ImageTokens, embeddings: Tensor
    ) -> None:
        """Record ``find`` for tokens and embeddings of these shapes."""
        inputs = (tokens.terms.clone(), tokens.class_path.clone(), embeddings.clone())
        own = ImageTokens(*inputs[:2], tokens.grid)
        try:
            graph, found = _record(lambda: find(own, inputs[2]), embeddings.device)
        except Exception as error:  # as above: nothing may stop the tower
            logger.warning("Small batches are not recorded: %s", " ".join(str(error).split())[:300])
            return
        self._graphs[_shapes(inputs)] = (graph, inputs, found)

    def replay(self, tokens: ImageTokens, embeddings: Tensor) -> Tensor | None:
        """What was found, on the CPU; None where no graph was recorded for these shapes."""
        given = (tokens.terms, tokens.class_path, embeddings)
        recorded = self._graphs.get(_shapes(given))
        if recorded is None:
            return None
        graph, inputs, found = recorded
        with self._lock:  # until it is copied no other replay may write over it
            for own, tensor in zip(inputs, given, strict=True):
                own.copy_(tensor)
            graph.replay()
            return found.cpu()


def _shapes(tensors: tuple[Tensor, ...]) -> Hashable:
    return tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
