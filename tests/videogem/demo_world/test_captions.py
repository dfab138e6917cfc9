import pytest
import torch
from open_clip import SimpleTokenizer

from videogem.demo_world.captions import (
    ACTION_TEMPLATES,
    CONTEXT,
    END,
    FILLERS,
    FIRST_STYLE,
    OBJECT_TEMPLATES,
    START,
    VERB_TEMPLATES,
    CaptionWriter,
    matches,
)
from videogem.demo_world.scenes import free_scenes, unseen_pairs
from videogem.demo_world.vocabulary import load_vocabulary, plural, with_article

TOKENIZER = SimpleTokenizer(context_length=CONTEXT)
VOCABULARY = load_vocabulary()


def writer(style=None, seed=0):
    return CaptionWriter(VOCABULARY, TOKENIZER.encode, torch.Generator().manual_seed(seed), style)


def scenes(batch=300, **options):
    allowed = ~unseen_pairs(VOCABULARY)
    return free_scenes(batch, allowed, torch.Generator().manual_seed(0), **options)


def words(tokens):
    ids = [token for token in tokens.tolist() if token]
    assert ids[0] == START and ids[-1] == END
    return " ".join(TOKENIZER.decode(ids[1:-1]).split())


def test_there_are_as_many_templates_as_the_recipe_has():
    assert (len(ACTION_TEMPLATES), len(VERB_TEMPLATES), len(OBJECT_TEMPLATES)) == (30, 10, 14)


@pytest.mark.parametrize("style", [None, FIRST_STYLE])
def test_captions_say_what_they_claim(style):
    scene = scenes()
    captions = writer(style).write(scene, per_image=2)
    for tokens, verb, thing in zip(captions.tokens, captions.verbs, captions.objects, strict=True):
        text = words(tokens)
        if verb >= 0:
            forms = VOCABULARY.verbs[int(verb)]
            heads = [f.split(" ")[0] for f in (forms.gerund, forms.base, forms.third_person)]
            assert any(head in text for head in heads), text
        if thing >= 0:
            name = VOCABULARY.objects[int(thing)].replace("-", " - ")
            many = plural(VOCABULARY.objects[int(thing)]).replace("-", " - ")
            assert name in text or many in text, (text, name)
        assert verb >= 0 or thing >= 0


def test_own_captions_fit_and_strangers_mostly_do_not():
    scene = scenes()
    captions = writer().write(scene, per_image=2)
    fits = matches(scene, captions)
    assert fits.shape == (300, 600)
    assert fits[:, :300].diagonal().all() and fits[:, 300:].diagonal().all()
    assert fits.float().mean() < 0.15


def test_matches_against_a_plain_loop():
    scene = scenes(40)
    captions = writer().write(scene)
    for i in range(40):
        pairs = list(zip(scene.verbs[i].tolist(), scene.objects[i].tolist(), strict=True))
        for j in range(40):
            verb, thing = int(captions.verbs[j]), int(captions.objects[j])
            fits = any(v in (verb, v if verb < 0 else None) and v >= 0
                       and (thing < 0 or o == thing) for v, o in pairs)  # fmt: skip
            fits = fits or (verb < 0 and thing >= 0 and thing in scene.lone_objects[i].tolist())
            assert bool(matches(scene, captions)[i, j]) == fits


def test_a_composed_caption_is_what_the_tokenizer_gives():
    caption_writer = writer()
    templates = [t for t in ACTION_TEMPLATES if "*" not in t]
    numbers = [ACTION_TEMPLATES.index(t) for t in templates]
    verb, thing = 7, VOCABULARY.objects.index("juice box")  # "singing to", "sing to"
    count = len(numbers)
    tokens = caption_writer.compose(
        torch.tensor(numbers), torch.full((count,), verb), torch.full((count,), thing)
    )
    forms, name = VOCABULARY.verbs[verb], VOCABULARY.objects[thing]
    for template, row in zip(templates, tokens, strict=True):
        text = template.replace("{a object}", with_article(name)).format(
            ing=forms.gerund, base=forms.base, s=forms.third_person, object=name,
            objects=plural(name),
        )  # fmt: skip
        expected = TOKENIZER(text)[0]
        assert torch.equal(row, expected[: len(row)]), text
        assert not expected[len(row) :].any()


def test_fillers_fill_every_hole():
    caption_writer = writer()
    number = ACTION_TEMPLATES.index("* * {base} the {object}")
    count = 50
    tokens = caption_writer.compose(
        torch.full((count,), number), torch.zeros(count).long(), torch.zeros(count).long()
    )
    starts = {tuple(words(row).split(" ")[:2]) for row in tokens}
    assert len(starts) > 10
    assert {word for pair in starts for word in pair} <= set(FILLERS)


def test_same_seed_same_captions():
    scene = scenes(20)
    assert torch.equal(writer().write(scene).tokens, writer().write(scene).tokens)
    assert not torch.equal(writer().write(scene).tokens, writer(seed=1).write(scene).tokens)
