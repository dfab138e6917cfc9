"""Labeling config -> which regions to write, from which task fields.

Names of tags and data fields are free: everything is found from the config's structure;
`validation.py` holds the outcome against the SDK.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Any
from xml.etree import ElementTree

from backend.labeling.attributes import FIELD_PREFIX, read_attributes
from backend.labeling.forms import control_forms, kinds_by_tag
from backend.labeling.narration import TEXT_TAGS, Narrations, shown_by
from backend.labeling.tags import MAX_TAGS, Tag, read_xml
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

DEFAULT_FRAMERATE = 24.0  # what Label Studio assumes where the Video tag says nothing
MAX_FRAMERATE = 10_000.0  # frames a second
MAX_LABELS = 10_000  # of all controls together
MAX_NAMES = 20_000  # of all their labels: values, aliases, predicted_values
MAX_CONTROLS = 500
MAX_PLACES = 5000  # of all controls together: each once for each Image and Video it belongs to
MAX_OBJECTS = 100  # Image and Video tags
SHOWN = 10  # problems, notes and names that one message quotes


@lru_cache(maxsize=32)
def parse_labeling(config: str) -> Labeling:
    """Read a labeling config; problems are collected rather than raised, to be told all at once."""
    try:
        return _Parser(read_xml(config)).labeling()
    except InputError as error:
        return Labeling((), (str(error),))


class _Parser:
    """Collects tags, problems and notes while one config is read."""

    def __init__(self, root: ElementTree.Element) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.tags = list(self._read(root))
        self.options = self.tags[0].options
        self._leave_repeated_alone(root)
        self.objects = {tag.name: tag for tag in self.tags if self._source_kind(tag) is not None}
        self.texts = {
            tag.name: tag
            for tag in self.tags
            if tag.kind in TEXT_TAGS and data_field(tag.attributes.get("value", ""))
        }
        self.labels_tags: dict[str, Tag] = {}  # the first Labels control of each object
        for tag in self.tags:
            if tag.kind == "labels":
                for name in tag.attributes.get("toName", "").split(","):
                    self.labels_tags.setdefault(name.strip(), tag)
        shown = (shown_by(str(t), t.kind, t.attributes, t.element) for t in self.tags)
        self.shown = [one for one in shown if one is not None]
        elements = [tag.element for tag in self.objects.values()]
        self.narrations = Narrations(root, self.shown, elements)
        self.num_labels = self.num_names = 0
        self._check_counts()

    def _leave_repeated_alone(self, root: ElementTree.Element) -> None:
        """A Repeater's tags have other names in every task, so no prediction can name them."""
        inside = {
            child
            for element in root.iter()
            if isinstance(element.tag, str) and element.tag.lower() == "repeater"
            for child in element.iter()
        }
        repeated = [tag for tag in self.tags if tag.element in inside]
        self.tags = [tag for tag in self.tags if tag.element not in inside]
        self.repeats = any(self._source_kind(tag) is not None for tag in repeated)
        if self.repeats:
            self.notes.append(
                "The Image and Video tags of a Repeater are left alone: their names change with "
                'every task. For a list of images write one Image tag with valueList="$images" '
                "and its controls, outside of the Repeater."
            )

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

    def _read(self, root: ElementTree.Element) -> Iterator[Tag]:
        for element in root.iter():
            if not isinstance(element.tag, str):  # comments
                continue
            tag = Tag(element.tag, element.tag.lower(), dict(element.attrib), element, {})
            try:
                options = read_attributes(str(tag), tag.attributes)
            except InputError as error:
                self.problems.append(str(error))
                options = {}
            yield Tag(tag.tag, tag.kind, tag.attributes, element, options)

    @staticmethod
    def _source_kind(tag: Tag) -> SourceKind | None:
        if tag.kind == "image":
            return "images" if tag.attributes.get("valueList") else "image"
        return "video" if tag.kind == "video" else None

    def labeling(self) -> Labeling:
        controls: list[Control] = []
        for tag in self.tags:
            controls += self._controls(tag)
            if len(controls) > MAX_PLACES:
                raise InputError(
                    f"The labeling config's controls belong to more than {MAX_PLACES:,} Image and "
                    "Video tags, counted for each control."
                )
        targets = tuple(
            target
            for tag in self.objects.values()
            if (target := self._target(tag, controls)) is not None
        )
        if not targets and not self.problems:
            self._explain_nothing_to_do()
        return Labeling(targets, _some(self.problems), _some(self.notes), self.options)

    def _controls(self, tag: Tag) -> list[Control]:
        """The control a tag is, once for each object it belongs to; none that cannot be filled."""
        control = self._control(tag)
        names = [name.strip() for name in tag.attributes.get("toName", "").split(",")]
        if control is None or not control_forms()[control.kind].has_place:
            return [] if control is None else [control]
        further = [
            replace(control, to_name=name, further=True)
            for name in dict.fromkeys(names)
            if name in self.objects and name != control.to_name
        ]
        if control_forms()[control.kind].tags[tag.kind] is None:
            separate = [self._separate_labels(each.to_name) for each in further]
            further = [
                replace(each, labels_name=name, labels=labels)
                for each, (name, labels) in zip(further, separate, strict=True)
            ]
        return [control, *further]

    def _control(self, tag: Tag) -> Control | None:
        """The control a tag is for the first object it belongs to."""
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
        names = [name.strip() for name in tag.attributes["toName"].split(",")]
        if "," in tag.attributes["toName"] and any(map(str.isspace, tag.attributes["toName"])):
            self.problems.append(
                f'{tag} has blanks in toName="{tag.attributes["toName"][:80]}", which Label Studio '
                f'takes for part of the names; write toName="{",".join(names)[:80]}".'
            )
            return None
        known_names = [name for name in names if name in self.objects or name in self.texts]
        to_name = next(iter(known_names), names[0])
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

    def _labels(self, tag: Tag, child: str | None) -> tuple[Label, ...]:
        if child is None:
            return ()
        labels = [
            _label(element.attrib)
            for element in islice(tag.element.iter(), MAX_TAGS)
            if isinstance(element.tag, str) and element.tag.lower() == child
        ]
        self.num_labels += len(labels)
        self.num_names += sum(len(label.names) for label in labels)
        if self.num_labels > MAX_LABELS:  # controls inside controls count their labels again
            raise InputError(
                f"The labeling config has more than {MAX_LABELS:,} labels for its controls."
            )
        if self.num_names > MAX_NAMES:  # each is compared with each sentence
            raise InputError(
                f"The labels of the labeling config have more than {MAX_NAMES:,} names "
                "(predicted_values) for its controls."
            )
        return tuple(labels)

    def _separate_labels(self, to_name: str) -> tuple[str | None, tuple[Label, ...]]:
        """The Labels control of the same object, for geometry without labels of its own."""
        tag = self.labels_tags.get(to_name)
        return (None, ()) if tag is None else (tag.name, self._labels(tag, "label"))

    def _target(self, tag: Tag, controls: list[Control]) -> Target | None:
        kind = self._source_kind(tag)
        attribute = "valueList" if kind == "images" else "value"
        value = tag.attributes.get(attribute, "")
        own = [
            control
            for control in controls
            if control.to_name == tag.name or self._object_of_text(control.to_name) == tag.name
        ]
        own = [control for control in own if self._fits(control, kind)]
        if not own or kind is None:
            return None
        if data_field(value) is None:
            self.problems.append(f'{tag} names no task field; write {attribute}="$...".')
            return None
        options = {**self.options, **tag.options}
        asked = next((c.options for c in own if "model_narration" in c.options), options)
        found = self.narrations.of(str(tag), tag.element, asked)
        narration = found.value
        if found.problem is not None and options.get("model_labels") != "actions":
            self.problems.append(found.problem)
            return None
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
        if found.note is not None and meaning == "narration":
            self.notes.append(found.note)
        return Target(source, merged, narration, meaning, options, found.text_key)

    def _object_of_text(self, name: str) -> str | None:
        """The Image or Video a text belongs to: that which it is beside, else the first."""
        if name not in self.texts:
            return None
        element = self.texts[name].element
        for tag in self.objects.values():
            if self.narrations.belongs(element, tag.element):
                return tag.name
        return next(iter(self.objects), None)

    def _fits(self, control: Control, kind: SourceKind | None) -> bool:
        """Whether Label Studio can hold this kind of region on this kind of object."""
        if ("video" if kind == "video" else "image") in control_forms()[control.kind].on:
            return True
        self.notes.append(
            f'{control.tag} "{control.name}" is left alone: it does not work on '
            f"{'a Video' if kind == 'video' else 'an Image'}."
        )
        return False

    @staticmethod
    def _framerate(tag: Tag, options: dict[str, Any]) -> str | float | None:
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
        if self.repeats:
            self.problems += self.notes
            return
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
