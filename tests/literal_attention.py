"""Self-self attention written out with N x N matrices."""

import torch
import torch.nn.functional as F

BATCH, HEADS, FRAMES, PATCHES, HEAD_DIM = 2, 3, 4, 6, 8


def random_qkv() -> torch.Tensor:
    """Of two samples, the same every time."""
    generator = torch.Generator().manual_seed(1)
    tokens = 1 + FRAMES * PATCHES
    return torch.randn(3, BATCH, HEADS, tokens, HEAD_DIM, generator=generator)


BETA = torch.tensor([1.5, 4.0])


def literal(
    qkv: torch.Tensor, iterations: int, allowed: torch.Tensor | None = None
) -> torch.Tensor:
    """Explicit attention; ``allowed`` [N, N] says which token attends to which."""
    outputs = []
    for projection in qkv:
        state = F.normalize(projection, dim=-1)
        for step in range(iterations + 1):
            logits = BETA.view(-1, 1, 1, 1) * state @ state.transpose(-1, -2)
            if allowed is not None:
                logits = logits.masked_fill(~allowed, float("-inf"))
            attention = logits.softmax(dim=-1)
            last = step == iterations
            state = attention @ qkv[2] if last else F.normalize(attention @ state, dim=-1)
        outputs.append(state)
    return torch.stack(outputs).mean(dim=0)
