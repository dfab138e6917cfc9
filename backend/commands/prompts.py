"""`videogem prompts`: what will be asked of the model for a narration, without any model."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import typer
from typer.core import TyperCommand

from backend.commands.support.quick_spacy import import_spacy_alone
from videogem.errors import InputError, check_choice

if TYPE_CHECKING:
    from videogem.narration.prompts import Words
    from videogem.structures import LabelStyle


_MARK = "\u200b"  # has no width and is no option's first letter


class _Texts(TyperCommand):
    """Lets narrations begin with a dash, as dialogues do: '- ANN: she cuts the tomato'."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(
            ctx, [_MARK + arg if arg.startswith(("- ", "-\u00a0")) else arg for arg in args]
        )


def register(app: typer.Typer) -> None:
    app.command(cls=_Texts)(prompts)


def prompts(
    texts: list[str] = typer.Argument(None, help="Narrations or labels.", metavar="TEXT…"),
    *,
    file: Path | None = typer.Option(
        None, help="Subtitles, a transcript, or a text with one narration a line."
    ),
    paper_words: bool = typer.Option(
        False, "--paper-words", help="Cut words as the paper does, not as people write."
    ),
    style: str = typer.Option("auto", help="How to read the text: auto, label, camel, narration."),
    spacy_model: str | None = typer.Option(None, help="Another spaCy model than the English one."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Show the words found in narrations and the prompts made of them."""
    from videogem.narration.prompts import parse
    from videogem.structures import LabelStyle

    check_choice("--style", style, get_args(LabelStyle))
    narrations = [
        *(text.removeprefix(_MARK) for text in texts or []),
        *([] if file is None else _read(file)),
    ]
    if not narrations:
        raise InputError("Give a narration ('cut the tomato') or a file of them with --file.")
    import_spacy_alone()
    rows = [
        as_row(
            text,
            parse(
                text,
                style=cast("LabelStyle", style),
                words="paper" if paper_words else "everyday",
                spacy_model=spacy_model,
            ),
            spacy_model=spacy_model,
        )
        for text in narrations
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        typer.echo("\n\n".join(map(_shown, rows)))


def as_row(text: str, words: "Words", *, spacy_model: str | None = None) -> dict[str, Any]:
    """What is asked for one narration, as plain values; ``notes`` say what may surprise."""
    selected = words.select()
    return {
        "narration": text,
        "verbs": list(words.verbs),
        "objects": list(words.objects),
        "verb_prompt": selected.verb,
        "object_prompt": selected.object,
        "action_prompt": selected.action,
        "notes": list(_notes(text, words, spacy_model)),
    }


def _notes(text: str, words: "Words", spacy_model: str | None) -> Iterable[str]:
    from videogem.narration.action_cues import why_no_action
    from videogem.narration.language import why_not_english
    from videogem.narration.spoken import without_marks
    from videogem.narration.tagging import shared_spacy

    foreign = why_not_english(text)
    if foreign is not None and spacy_model and shared_spacy(spacy_model).lang != "en":
        yield "Of another language: compare it by a multilingual tower."
    elif foreign is not None:
        yield foreign
    elif reason := why_no_action(text):
        yield f"Shows no action: {reason}."
    for kind, found in (("verb", words.verbs), ("object", words.objects)):
        if not found:
            yield f"No {kind} was found; a general prompt stands in for it."
        elif len(found) > 1:
            yield f"Of several {kind}s the one whose prompt is most similar to the frame is asked."
    said = without_marks(text)
    if said != " ".join(text.split()):
        yield f"Read as {said!r}: speakers, sound marks, tags and emoji are no words."


def _read(path: Path) -> list[str]:
    """The narrations of a file, in its order."""
    from videogem.narration.reading import read_cues, read_text
    from videogem.narration.timed_text import has_times

    if path.suffix.lower() == ".jsonl":
        return [_text_of(line, path) for line in read_text(path).splitlines() if line.strip()]
    if path.suffix.lower() in (".txt", "") and not has_times(read_text(path)):
        return [line for line in map(str.strip, read_text(path).splitlines()) if line]
    return [cue.text for cue in read_cues(path)]


def _text_of(line: str, path: Path) -> str:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise InputError(f"{path.name} holds a line that is not JSON: {line[:80]!r}.") from None
    found = value
    if isinstance(value, dict):
        found = next((value[key] for key in ("narration", "text") if key in value), None)
    if not isinstance(found, str):
        raise InputError(f"{path.name} holds a line without a text: {line[:80]!r}.")
    return found


def _shown(row: dict[str, Any]) -> str:
    lines = [
        row["narration"],
        f"  verb    {', '.join(row['verbs']) or '-'}",
        f"  object  {', '.join(row['objects']) or '-'}",
        *(f"  {row[f'{kind}_prompt']}" for kind in ("verb", "object", "action")),
        *(f"  ! {note}" for note in row["notes"]),
    ]
    return "\n".join(lines)
