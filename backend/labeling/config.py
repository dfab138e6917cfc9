"""Labeling config -> which regions to write, from which task fields.

Names of tags and data fields are free: everything is found from the config's structure. The config
is read with the standard parser, because Label Studio waits only 3 seconds for /setup and the SDK's
parser takes longer than that to import; `validation.py` holds the outcome against the SDK.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any
from xml.etree import ElementTree

from backend.labeling.attributes import FIELD_PREFIX, read_attributes
from backend.labeling.forms import control_forms, kinds_by_tag
from backend.labeling.targets import (
    Control,
    Label,
    Labeling,
    LabelMeaning,
    Source,
    SourceKind,
    Target,
    data_field,
)
from videogem.errors import InputError

TEXT_TAGS = ("text", "paragraphs", "hypertext", "header")
NARRATION_WORDS = ("narration", "caption", "sentence", "instruction", "transcript", "text")
DEFAULT_FRAMERATE = 24.0  # what Label Studio assumes where the Video tag says nothing
MAX_FRAMERATE = 10_000.0  # frames a second
MAX_CONFIG_CHARS = 1_000_000
MAX_DEPTH = 64  # tags inside tags; Label Studio's own examples have up to eight
MAX_TAGS = 20_000
MAX_LABELS = 10_000  # of all controls together
MAX_CONTROLS = 500
MAX_OBJECTS = 100  # Image and Video tags
MAX_ATTRIBUTE_CHARS = 20_000
SHOWN = 10  # problems, notes and names that one message quotes


@dataclass(frozen=True)
class _Tag:
    """An XML element with case-insensitive names, and its `model_*` attributes read."""

    tag: str
    kind: str
    attributes: dict[str, str]
    element: ElementTree.Element
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return self.attributes.get("name", "")

    def __str__(self) -> str:
        # Without angle brackets: Label Studio shows our messages as HTML.
        return f'{self.tag[:80]} "{self.name[:80]}"' if self.name else self.tag[:80]


@lru_cache(maxsize=32)
def parse_labeling(config: str) -> Labeling:
    """Read a labeling config; problems are collected rather than raised, to be told all at once."""
    try:
        return _Parser(read_xml(config)).labeling()
    except InputError as error:
        return Labeling((), (str(error),))


def read_xml(config: str) -> ElementTree.Element:
    """The tags of a labeling config, which is no larger or deeper than people make them.

    Raises:
        InputError: it is not XML, has a document type (where entities come from), or is too large.
    """
    if len(config) > MAX_CONFIG_CHARS:
        raise InputError(
            f"The labeling config has {len(config):,} characters; at most {MAX_CONFIG_CHARS:,} "
            "are read."
        )
    parser = ElementTree.XMLParser(target=_BoundedBuilder())
    try:
        parser.feed(config.strip() or "<View/>")
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, UnicodeEncodeError) as error:
        raise InputError(f"The labeling config is not XML: {error}.") from None
    return root


class _BoundedBuilder(ElementTree.TreeBuilder):
    """Builds the tree, and stops as soon as it grows beyond what a labeling config may be."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._tags = 0

    def start(self, tag: Any, attrs: Any) -> ElementTree.Element:
        self._depth += 1
        self._tags += 1
        if self._depth > MAX_DEPTH:
            raise InputError(
                f"The labeling config has tags nested more than {MAX_DEPTH} deep; is an end tag "
                "missing?"
            )
        if self._tags > MAX_TAGS:
            raise InputError(f"The labeling config has more than {MAX_TAGS:,} tags.")
        for name, value in attrs.items():
            if len(value) > MAX_ATTRIBUTE_CHARS:
                raise InputError(
                    f"{tag[:80]}: the attribute {name[:80]} has {len(value):,} characters; at most "
                    f"{MAX_ATTRIBUTE_CHARS:,} are read."
                )
        return super().start(tag, attrs)

    def end(self, tag: str) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise InputError(
            "The labeling config has a DOCTYPE; Label Studio's configs have none. Remove it."
        )


class _Parser:
    """Collects tags, problems and notes while one config is read."""

    def __init__(self, root: ElementTree.Element) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.tags = list(self._read(root))
        self.options = self.tags[0].options
        self.objects = {tag.name: tag for tag in self.tags if self._source_kind(tag) is not None}
        self.texts = {
            tag.name: tag
            for tag in self.tags
            if tag.kind in TEXT_TAGS and data_field(tag.attributes.get("value", ""))
        }
        self.labels_tags: dict[str, _Tag] = {}  # the first Labels control of each object
        for tag in self.tags:
            if tag.kind == "labels":
                self.labels_tags.setdefault(tag.attributes.get("toName", ""), tag)
        self.shown_fields = [
            name
            for tag in self.tags
            if (tag.kind in TEXT_TAGS or (tag.kind == "textarea" and "value" in tag.attributes))
            and (name := data_field(tag.attributes.get("value", ""))) is not None
        ]
        self.num_labels = 0
        self._check_counts()

    def _check_counts(self) -> None:
        controls = sum("toName" in tag.attributes for tag in self.tags)
        for count, most, name in (
            (len(self.objects), MAX_OBJECTS, "Image and Video tags"),
            (controls, MAX_CONTROLS, "controls (tags with toName)"),
        ):
            if count > most:
                raise InputError(
                    f"The labeling config has {count:,} {name}; at most {most} are read."
                )

    def _read(self, root: ElementTree.Element) -> Iterator[_Tag]:
        for element in root.iter():
            if not isinstance(element.tag, str):  # comments
                continue
            tag = _Tag(element.tag, element.tag.lower(), dict(element.attrib), element, {})
            try:
                options = read_attributes(str(tag), tag.attributes)
            except InputError as error:
                self.problems.append(str(error))
                options = {}
            yield _Tag(tag.tag, tag.kind, tag.attributes, element, options)

    @staticmethod
    def _source_kind(tag: _Tag) -> SourceKind | None:
        if tag.kind == "image":
            return "images" if tag.attributes.get("valueList") else "image"
        return "video" if tag.kind == "video" else None

    def labeling(self) -> Labeling:
        controls = [control for tag in self.tags if (control := self._control(tag)) is not None]
        targets = tuple(
            target
            for tag in self.objects.values()
            if (target := self._target(tag, controls)) is not None
        )
        if not targets and not self.problems:
            self._explain_nothing_to_do()
        return Labeling(targets, _some(self.problems), _some(self.notes), self.options)

    def _control(self, tag: _Tag) -> Control | None:
        """The control a tag is, or None where it is none that can be filled."""
        if "toName" not in tag.attributes:
            return None
        kind = kinds_by_tag().get(tag.kind)
        if kind is None or not control_forms()[kind].fills:
            if tag.kind not in ("labels", "relations"):
                self.notes.append(f"{tag} is left alone: no such region can be grounded.")
            return None
        if tag.options.get("model_skip"):
            return None
        form = control_forms()[kind]
        child = form.tags[tag.kind]
        to_name = tag.attributes["toName"].split(",")[0].strip()
        if to_name not in self.objects and to_name not in self.texts:
            known = ", ".join(_some(sorted(self.objects))) or "none"
            self.problems.append(
                f'{tag} has toName="{to_name[:80]}", but the Image and Video tags are: {known}.'
            )
            return None
        labels = self._labels(tag, child)
        labels_field = data_field(tag.attributes.get("value", "")) if child else None
        labels_name = None
        if child is None and form.has_place:
            labels_name, labels = self._separate_labels(to_name)
        if child is not None and not labels and not labels_field:
            self.problems.append(f"{tag} has no labels; add {child.title()} tags inside it.")
            return None
        return Control(
            kind, tag.tag, tag.name, to_name, tag.kind, labels, labels_field, labels_name,
            tag.attributes.get("perRegion", "").lower() == "true", tag.options,
        )  # fmt: skip

    def _labels(self, tag: _Tag, child: str | None) -> tuple[Label, ...]:
        if child is None:
            return ()
        labels = [
            _label(element.attrib)
            for element in islice(tag.element.iter(), MAX_TAGS)
            if isinstance(element.tag, str) and element.tag.lower() == child
        ]
        self.num_labels += len(labels)
        if self.num_labels > MAX_LABELS:  # controls inside controls count their labels again
            raise InputError(
                f"The labeling config has more than {MAX_LABELS:,} labels for its controls."
            )
        return tuple(labels)

    def _separate_labels(self, to_name: str) -> tuple[str | None, tuple[Label, ...]]:
        """The Labels control of the same object, for geometry without labels of its own."""
        tag = self.labels_tags.get(to_name)
        return (None, ()) if tag is None else (tag.name, self._labels(tag, "label"))

    def _target(self, tag: _Tag, controls: list[Control]) -> Target | None:
        kind = self._source_kind(tag)
        attribute = "valueList" if kind == "images" else "value"
        value = tag.attributes.get(attribute, "")
        first = next(iter(self.objects))
        own = [
            control
            for control in controls
            if control.to_name == tag.name or (tag.name == first and control.to_name in self.texts)
        ]
        own = [control for control in own if self._fits(control, kind)]
        if not own or kind is None:
            return None
        if data_field(value) is None:
            self.problems.append(f'{tag} names no task field; write {attribute}="$...".')
            return None
        options = {**self.options, **tag.options}
        narration = self._narration(options, own)
        meaning: LabelMeaning = options.get("model_labels") or (
            "narration" if narration else "actions"
        )
        if meaning == "narration" and narration is None:
            self.problems.append(
                f'{tag}: model_labels="narration", but no Text tag shows a task field; add '
                'model_narration="$field".'
            )
            return None
        if meaning == "actions" and not any(control.has_labels for control in own):
            self.problems.append(
                f"{tag} has neither a narration nor labels to ground; add "
                'a Text tag with value="$narration", or labels that are actions.'
            )
            return None
        source = Source(kind, tag.name, value, self._framerate(tag, options))
        merged = tuple(replace(each, options={**options, **each.options}) for each in own)
        return Target(source, merged, narration, meaning, options)

    def _fits(self, control: Control, kind: SourceKind | None) -> bool:
        """Whether Label Studio can hold this kind of region on this kind of object."""
        if ("video" if kind == "video" else "image") in control_forms()[control.kind].on:
            return True
        self.notes.append(
            f'{control.tag} "{control.name}" is left alone: it does not work on '
            f"{'a Video' if kind == 'video' else 'an Image'}."
        )
        return False

    def _narration(self, options: dict[str, Any], controls: list[Control]) -> str | None:
        """The task field with the narration: told, else shown by a tag of the config."""
        for given in (*(control.options for control in controls), options):
            if "model_narration" in given:
                return str(given["model_narration"])
        for word in NARRATION_WORDS:
            for name in self.shown_fields:
                if word in name.lower():
                    return name
        return self.shown_fields[0] if self.shown_fields else None

    @staticmethod
    def _framerate(tag: _Tag, options: dict[str, Any]) -> str | float | None:
        if tag.kind != "video":
            return None
        if "model_fps" in options:
            return float(options["model_fps"])
        text = tag.attributes.get("framerate") or tag.attributes.get("frameRate") or ""
        if text.startswith(FIELD_PREFIX):
            return data_field(text)
        try:
            rate = float(text)
        except ValueError:
            return DEFAULT_FRAMERATE
        if not 0 < rate < MAX_FRAMERATE or 1 / rate > MAX_FRAMERATE:
            return DEFAULT_FRAMERATE
        return 1 / rate if rate < 1 else rate  # below 1 Label Studio reads seconds per frame

    def _explain_nothing_to_do(self) -> None:
        if not any("toName" in tag.attributes for tag in self.tags) and not self.objects:
            self.notes.append("The labeling config is still empty.")
            return
        if not self.objects:
            self.problems.append(
                "The labeling config has no Image or Video tag, so there are no frames to point in."
            )
            return
        self.problems.append(
            "The labeling config has no control that can be filled; add KeyPointLabels or "
            "RectangleLabels for an Image, VideoRectangle or TimelineLabels for a Video. "
            + " ".join(_some(self.notes))
        )


def _some(texts: Sequence[str]) -> tuple[str, ...]:
    """The first few texts, and how many more there are."""
    more = len(texts) - SHOWN
    return (*texts[:SHOWN], f"And {more} more.") if more > 0 else tuple(texts)


def _label(attributes: dict[str, str]) -> Label:
    """Label Studio stores the alias where there is one."""
    value = attributes.get("alias") or attributes.get("value", "")
    predicted = attributes.get("predicted_values", "").split(",")
    names = (*predicted, attributes.get("value", ""), value)
    return Label(
        value, tuple(dict.fromkeys(name.strip().lower() for name in names if name.strip()))
    )
