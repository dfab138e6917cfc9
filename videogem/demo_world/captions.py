"""Captions of demo scenes as token ids, assembled on the device.

A template is a row of pieces; a piece is a fixed word, a form of the verb, a form of the object, or
``*`` for a random filler word. All pieces sit padded in one table, so a batch of captions is one
look-up, after which the padding between pieces is squeezed out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from videogem.demo_world.scenes import Scenes
from videogem.demo_world.vocabulary import Vocabulary, plural, with_article

CONTEXT = 32
START, END = 49406, 49407
_HOLE = 49404  # stands for a filler word until one is drawn; the tokenizer never gives this id

ACTION_TEMPLATES = (
    "a photo of a person {ing} {a object}.",
    "a photo of a person {ing} the {object}.",
    "a photo of a person {ing} {object}.",
    "a photo of a person {ing} {objects}.",
    "a photo of a person {ing} the {objects}.",
    "a photo of a person {base} the {object}.",
    "a photo of a person {base} {object}.",
    "a photo of a person {base} the {objects}.",
    "a photo of a person {base} {a object}.",
    "a photo of a person {base} {objects}.",
    "a photo of a person {s} {a object}.",
    "{base} the {object}",
    "{base} {object}",
    "{base} the {objects}",
    "{ing} {a object}",
    "{ing} the {objects}",
    "a person {ing} the {object}",
    "a person {s} the {object}",
    "now you {base} the {object}",
    "now you {base} the {objects}",
    "she is {ing} {a object}",
    "he is {ing} the {objects}",
    "someone is {ing} {a object} here",
    "i am going to {base} the {object}",
    "we {base} the {objects} *",
    "* * {base} the {object}",
    "* {base} the * {object}",
    "* * * {ing} the {object} * *",
    "a photo of a person * {base} the * {object} * .",
    "they {base} some {objects} * *",
)
VERB_TEMPLATES = (
    "a photo of a person {ing} something.",
    "a photo of a person {ing} something.",
    "a photo of a person {base} something.",
    "a photo of a person {ing}.",
    "a photo of a person {s} something.",
    "{ing}",
    "{base}",
    "a person {ing} something",
    "* {base} *",
    "{base} something",
)
OBJECT_TEMPLATES = (
    "a photo of a person using {object}.",
    "a photo of a person using {object}.",
    "a photo of a person using {a object}.",
    "a photo of a person using the {object}.",
    "a photo of a person using {objects}.",
    "a photo of a person using the {objects}.",
    "a photo of a person using * {object}.",
    "a photo of {a object}",
    "a photo of {a object}.",
    "{object}",
    "{objects}",
    "{a object}",
    "the {object}",
    "* * {object} *",
)

_FILLER_TEXT = """
now then just so here okay well we you i they really very quickly slowly carefully again next
first finally please also still today outside inside together nicely gently little big small
nice fresh good new old red green blue white black yellow hot cold clean dry soft hard up down
over back in on with for this that my your his her our their bowl pan table kitchen garden house
room board water time way bit piece side hand top bottom video let going want need have get take
see look make
"""
FILLERS = tuple(_FILLER_TEXT.split())


@dataclass(frozen=True)
class CaptionStyle:
    """Which templates are drawn, and how often a caption names the verb or the object alone."""

    action: tuple[str, ...] = ACTION_TEMPLATES
    verb: tuple[str, ...] = VERB_TEMPLATES
    object: tuple[str, ...] = OBJECT_TEMPLATES
    verb_share: float = 0.2
    object_share: float = 0.2
    lone_share: float = 0.3  # of the object captions: name an object nobody acts on


FIRST_STYLE = CaptionStyle(
    action=(
        "a photo of a person {ing} {a object}.",
        "{ing} {a object}",
        "a person {ing} the {object}",
        "now you {base} the {object}",
        "{base} the {object}",
        "someone is {ing} {a object} here",
        "a photo of a person {ing} {object}.",
    ),
    verb=("a photo of a person {ing} something.", "{ing}", "a person {ing} something"),
    object=(
        "a photo of a person using {a object}.",
        "a photo of {a object}",
        "{a object}",
        "a photo of a person using {object}.",
    ),
    verb_share=0.15,
    object_share=0.15,
    lone_share=0.0,
)
"""Fewer templates, for a model that knows nothing yet."""


@dataclass(frozen=True, eq=False)
class Captions:
    """Token ids, and the verb and object each caption names (-1: does not say)."""

    tokens: Int[Tensor, "C context"]
    verbs: Int[Tensor, " C"]
    objects: Int[Tensor, " C"]


class CaptionWriter:
    """The piece table and templates on a device."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        encode: Callable[[str], Sequence[int]],
        generator: torch.Generator,
        style: CaptionStyle | None = None,
    ) -> None:
        self.generator = generator
        self.device = generator.device
        self.style = style or CaptionStyle()
        table = _PieceTable(vocabulary, encode)
        templates = [*self.style.action, *self.style.verb, *self.style.object]
        rows = [table.template_rows(template) for template in templates]
        longest = max(map(len, rows))
        padded = [row + [(0, 0, 0)] * (longest - len(row)) for row in rows]
        self._templates = torch.tensor(padded, device=self.device)  # template, piece, 3
        self._pieces = table.padded().to(self.device)
        self._fillers = torch.tensor([encode(word)[0] for word in FILLERS], device=self.device)
        self.context = min(CONTEXT, 2 + max(table.longest(row) for row in rows))
        used = {0, START, END, *self._pieces.unique().tolist()} - {_HOLE}
        used.update(token for word in FILLERS for token in encode(word))
        self.used_tokens = sorted(used)

    def write(self, scenes: Scenes, *, per_image: int = 1) -> Captions:
        """``per_image`` captions of every scene, those of the first slot of all scenes first.

        The first caption is of actor 0, the others are of any actor.
        """
        parts = [self._write_one(scenes, any_actor=number > 0) for number in range(per_image)]
        return Captions(
            torch.cat([part.tokens for part in parts]),
            torch.cat([part.verbs for part in parts]),
            torch.cat([part.objects for part in parts]),
        )

    def compose(
        self,
        templates: Int[Tensor, " C"],
        verbs: Int[Tensor, " C"],
        objects: Int[Tensor, " C"],
    ) -> Int[Tensor, "C context"]:
        """Token ids of chosen templates (numbered action, verb, object) with chosen words."""
        base, verb_step, object_step = self._templates[templates].unbind(-1)  # C pieces
        rows = base + verb_step * verbs[:, None] + object_step * objects[:, None]
        tokens = self._pieces[rows].flatten(1)
        order = (tokens == 0).to(torch.uint8).argsort(dim=1, stable=True)
        tokens = tokens.gather(1, order)[:, : self.context - 2]
        fillers = torch.randint(
            len(self._fillers), tokens.shape, generator=self.generator, device=self.device
        )
        tokens = torch.where(tokens == _HOLE, self._fillers[fillers], tokens)
        start = tokens.new_full((len(tokens), 1), START)
        tokens = torch.cat([start, tokens, tokens.new_zeros(len(tokens), 1)], dim=1)
        end = (tokens != 0).sum(dim=1, keepdim=True)
        return tokens.scatter(1, end, END)

    def _write_one(self, scenes: Scenes, *, any_actor: bool) -> Captions:
        batch = len(scenes)
        uniform = partial(torch.rand, batch, generator=self.generator, device=self.device)
        actor = torch.zeros(batch, dtype=torch.long, device=self.device)
        if any_actor:
            actor = torch.minimum((uniform() * scenes.num_actors).long(), scenes.num_actors - 1)
        verbs = scenes.verbs.gather(1, actor[:, None]).squeeze(1)
        objects = scenes.objects.gather(1, actor[:, None]).squeeze(1)

        style, draw = self.style, uniform()
        names_object = draw < style.object_share
        names_verb = ~names_object & (draw < style.object_share + style.verb_share)
        lone = scenes.lone_objects[:, 0]
        take_lone = names_object & (uniform() < style.lone_share) & (lone >= 0)
        objects = torch.where(take_lone, lone, objects)

        pick = uniform()
        num_action, num_verb = len(style.action), len(style.verb)
        template = (pick * num_action).long()
        template = torch.where(names_verb, num_action + (pick * num_verb).long(), template)
        of_object = num_action + num_verb + (pick * len(style.object)).long()
        template = torch.where(names_object, of_object, template)
        tokens = self.compose(template, verbs, objects)
        return Captions(tokens, verbs.where(~names_object, -1), objects.where(~names_verb, -1))


def matches(scenes: Scenes, captions: Captions) -> Bool[Tensor, "B C"]:
    """Which captions are true of which scenes, whoever they were written for."""
    verbs, objects = scenes.verbs[:, None], scenes.objects[:, None]  # B 1 A
    said_verb, said_object = captions.verbs[None, :, None], captions.objects[None, :, None]
    of_actor = (
        ((verbs == said_verb) | (said_verb < 0))
        & ((objects == said_object) | (said_object < 0))
        & (verbs >= 0)
    ).any(dim=-1)
    lone = scenes.lone_objects[:, None]
    return of_actor | ((lone == said_object) & (said_verb < 0) & (said_object >= 0)).any(dim=-1)


class _PieceTable:
    """Token ids of every piece; forms of the same kind lie in consecutive rows."""

    def __init__(self, vocabulary: Vocabulary, encode: Callable[[str], Sequence[int]]) -> None:
        self._encode = encode
        self._rows: list[list[int]] = [[], [_HOLE]]  # nothing, filler
        self._words: dict[str, int] = {"*": 1}
        verbs, objects = vocabulary.verbs, vocabulary.objects
        self._verb_forms = {
            "{ing}": self._add([verb.gerund for verb in verbs]),
            "{base}": self._add([verb.base for verb in verbs]),
            "{s}": self._add([verb.third_person for verb in verbs]),
        }
        self._object_forms = {
            "{object}": self._add(list(objects)),
            "{objects}": self._add([plural(name) for name in objects]),
            "{a object}": self._add([with_article(name) for name in objects]),
        }
        self._num_verbs, self._num_objects = len(verbs), len(objects)

    def _add(self, texts: list[str]) -> int:
        first = len(self._rows)
        self._rows += [list(self._encode(text)) for text in texts]
        return first

    def template_rows(self, template: str) -> list[tuple[int, int, int]]:
        """First row, step per verb and step per object of each piece."""
        pieces = template.replace("{a object}", "{a_object}").replace(".", " .").split()
        rows = []
        for piece in (piece.replace("_", " ") for piece in pieces):
            if piece in self._verb_forms:
                rows.append((self._verb_forms[piece], 1, 0))
            elif piece in self._object_forms:
                rows.append((self._object_forms[piece], 0, 1))
            else:
                if piece not in self._words:
                    self._words[piece] = self._add([piece])
                rows.append((self._words[piece], 0, 0))
        return rows

    def longest(self, rows: list[tuple[int, int, int]]) -> int:
        """Most tokens that a template can come to."""
        return sum(
            max(
                map(len, self._rows[first : first + 1 + verb * (self._num_verbs - 1)
                                    + thing * (self._num_objects - 1)])
            )
            for first, verb, thing in rows
        )  # fmt: skip

    def padded(self) -> Int[Tensor, "rows width"]:
        width = max(map(len, self._rows))
        return torch.tensor([row + [0] * (width - len(row)) for row in self._rows])
