"""Which verb and object of a narration are meant, where it names several: the frame says."""

from collections.abc import Mapping, Sequence

from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.similarity import frame_similarities
from videogem.narration.prompts import Words
from videogem.structures import Prompts

_NO_TEXT = ""


def choose_prompts(
    backbone: Backbone, tokens: ImageTokens, words: Sequence[Sequence[Words]]
) -> list[list[Prompts]]:
    """Of several verbs or objects, those whose prompt is most similar to the frame."""
    texts = [
        list(
            dict.fromkeys(
                text
                for each in own
                for prompts in (each.verb_prompts, each.object_prompts)
                if len(prompts) > 1
                for text in prompts
            )
        )
        for own in words
    ]
    most = max(map(len, texts), default=0)
    if most == 0:
        return [[each.select() for each in own] for own in words]
    padded = [text for own in texts for text in [*own, *[_NO_TEXT] * (most - len(own))]]
    embeddings = backbone.encode_texts(padded).unflatten(0, (len(texts), -1))
    similarities = frame_similarities(backbone, tokens, embeddings).tolist()
    chosen = []
    for own, names, values in zip(words, texts, similarities, strict=True):
        similar = dict(zip(names, values, strict=False))  # without what fills the row
        chosen.append(
            [
                each.select(_best(each.verb_prompts, similar), _best(each.object_prompts, similar))
                for each in own
            ]
        )
    return chosen


def _best(prompts: Sequence[str], similarities: Mapping[str, float]) -> int:
    """Place of the most similar prompt; the only one is not compared."""
    if len(prompts) == 1:
        return 0
    return max(range(len(prompts)), key=lambda place: similarities[prompts[place]])
