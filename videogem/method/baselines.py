"""What VideoGEM is compared with: dense features of one tower pass that do not depend on text."""

from jaxtyping import Float
from torch import Tensor

from videogem.errors import InputError
from videogem.method.backbone import ImageTokens
from videogem.method.quirks import gem6_tokens
from videogem.method.settings import Method


def baseline_tokens(tokens: ImageTokens, method: Method) -> Float[Tensor, "B N D"]:
    """The tokens a baseline projects into the joint space.

    - ``clip``: the tower's own output tokens.
    - ``maskclip``: the last block's values through its output projection (Zhou et al., ECCV 2022).
    - ``clip_surgery``: input of the first used block plus the value-value attention outputs, no
      feed-forward parts (Li et al., 2023).
    - ``gem``: input of the first used block plus all self-self outputs, unweighted
      (Bousselham et al., CVPR 2024), over as many blocks as VideoGEM uses.
    - ``gem6``: the same over one block less, see `quirks`.

    Raises:
        InputError: all but ``gem`` need tokens collected with ``AttentionSettings.baselines``.
    """
    if method == "gem":
        return tokens.terms.sum(dim=0)
    found = {
        "clip": tokens.output,
        "maskclip": tokens.values,
        "clip_surgery": tokens.value_value,
        "gem6": tokens.second,
    }
    if method not in found:
        raise InputError(f"'{method}' is no baseline.")
    own = found[method]
    if own is None:
        raise InputError(f"'{method}' needs tokens collected with baselines=True.")
    if method == "clip_surgery":
        return tokens.terms[0] + own.sum(dim=0)
    return gem6_tokens(tokens, own) if method == "gem6" else own
