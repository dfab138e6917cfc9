"""timm's plain vision transformers, as open_clip uses them, in the shape that the walk reads.

MobileCLIP's larger models and EVA01 are such. Blocks that normalise or rotate queries and keys
(EVA02) are none: what self-self attention would be there, no paper says.
"""

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.timm_model import TimmModel
from torch import Tensor, nn

from videogem.backbones.openclip import OpenCLIPBackbone
from videogem.backbones.patches import resize_positions
from videogem.errors import InputError
from videogem.method.rows import with_enough_rows


class TimmBackbone(OpenCLIPBackbone):
    """Reads an open_clip model whose image tower is timm's; the model itself stays untouched."""

    compiles = False  # the blocks are read anew in each pass: each would be compiled anew
    final_layers = None  # there are two norms, and the projection has a bias

    def _read_tower(self, visual: Any, name: str) -> Any:
        if not isinstance(visual, TimmModel):
            raise InputError(f"The image tower of '{name}' is no tower of timm's.")
        return _TimmTower(visual)

    def _embed(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B N D"], tuple[int, int]]:
        trunk = self._visual.trunk
        rows, columns = (side // self.patch_size for side in pixels.shape[-2:])
        patches = _patches(trunk.patch_embed, pixels.to(self._visual.proj.dtype))
        class_token = trunk.cls_token.expand(len(pixels), -1, -1)
        positions = trunk.pos_embed[0]
        if not getattr(trunk, "no_embed_class", False):
            class_token = class_token + positions[:1]
            positions = positions[1:]
        patches = patches + resize_positions(positions, (rows, columns))
        return trunk.norm_pre(torch.cat([class_token, patches], dim=1)), (rows, columns)

    @torch.inference_mode()
    def project(self, tokens: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        trunk = self._visual.trunk
        dtype = tokens.dtype  # the weights follow the tokens, see `project_tokens`
        for norm in (trunk.norm, trunk.fc_norm):
            if isinstance(norm, nn.LayerNorm):
                weight, bias = norm.weight.to(dtype), norm.bias.to(dtype)
                tokens = F.layer_norm(tokens, norm.normalized_shape, weight, bias, norm.eps)
        head = trunk.head.weight.to(dtype), trunk.head.bias.to(dtype)
        return with_enough_rows(lambda rows: F.linear(rows, *head), tokens)


class _TimmTower:
    """A ``TimmModel`` with the names of open_clip's own tower, as far as they are read."""

    def __init__(self, visual: Any) -> None:
        self.trunk = visual.trunk
        self.image_size = visual.image_size
        self.patch_size = [
            side // cells
            for side, cells in zip(self.image_size, self.trunk.patch_embed.grid_size, strict=True)
        ]
        self.preprocess_cfg = getattr(visual, "preprocess_cfg", None)

    @property
    def proj(self) -> Tensor:
        """The projection, whose device and precision are the tower's."""
        weight: Tensor = self.trunk.head.weight
        return weight

    @property
    def transformer(self) -> SimpleNamespace:
        """The blocks, read anew: moving a model to another precision replaces its tensors."""
        return SimpleNamespace(resblocks=[_block(block) for block in self.trunk.blocks])


def _block(block: Any) -> SimpleNamespace:
    """A block of timm's ViT or Eva with the names that `walk_blocks` reads."""
    attention = block.attn
    bias = attention.qkv.bias
    if bias is None:  # Eva: keys have none
        bias = torch.cat([attention.q_bias, attention.k_bias, attention.v_bias])
    return SimpleNamespace(
        ln_1=block.norm1,
        attn=SimpleNamespace(
            in_proj_weight=attention.qkv.weight,
            in_proj_bias=bias,
            num_heads=attention.num_heads,
            out_proj=attention.proj,
        ),
        ln_2=block.norm2,
        mlp=block.mlp,
        ls_1=_scale(block, "ls1", "gamma_1"),
        ls_2=_scale(block, "ls2", "gamma_2"),
    )


def _scale(block: Any, module: str, vector: str) -> Any:
    """A block's layer scale: a module in the ViT, a vector or None in Eva."""
    scale = getattr(block, module, None)
    if scale is not None:
        return scale
    gamma = getattr(block, vector)
    return nn.Identity() if gamma is None else gamma.mul


def _patches(embed: Any, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B n D"]:
    """Patch embeddings of any size of input, row by row; timm's own take only one size."""
    stem = getattr(embed, "backbone", None)  # MobileCLIP: convolutions before the patches
    patches: Tensor = embed.proj(pixels if stem is None else stem(pixels))
    tokens: Tensor = patches.flatten(2).transpose(1, 2)
    return tokens if stem is not None else embed.norm(tokens)
