"""Which of a task's predictions an annotation is measured against. Sorted and read once a task."""

from collections.abc import Mapping, Sequence

from backend.qa.events import Row
from backend.qa.regions import Reading, Region, read_result

MAX_VERSIONS = 20  # the newest model versions of a task are compared with what people drew
MAX_ALIKE = 200  # its newest predictions are searched for the regions of an annotation
MAX_KEPT = 200_000_000  # bytes, about, of what is kept of predictions that were read
MAX_AGAIN = 1_000_000_000  # bytes, about, that are read again where that does not suffice
REGION_BYTES = 1000  # about
KEY_BYTES = 500  # about: of a track


class Candidates:
    """The predictions of one task."""

    def __init__(self, predictions: Sequence[Row]) -> None:
        self._newest = sorted(predictions, key=lambda p: (p["created_at"], p["key"]), reverse=True)
        self._by_id: dict[int, Row] = {}
        self._by_regions: dict[frozenset[object], Row] = {}
        for prediction in self._newest:
            if prediction["label_studio_id"] is not None:
                self._by_id.setdefault(prediction["label_studio_id"], prediction)
        for prediction in self._newest[:MAX_ALIKE]:
            self._by_regions.setdefault(_ids(prediction), prediction)
        self._versions = list(newest_of_versions(predictions).values())
        self._readings: dict[str, Reading] = {}
        self._dear: dict[str, tuple[int, int]] = {}  # bytes and regions of what is not kept
        self._free, self._again = MAX_KEPT, MAX_AGAIN

    def of(self, annotation: Row) -> list[Row]:
        """The predictions an annotation is measured against, the one in use first.

        The one it was started from, by Label Studio's id; else the one whose region ids it carries;
        else the newest of each model version, as older ones were replaced.
        """
        parent = annotation["parent_prediction"]
        if parent is not None and parent in self._by_id:
            return [self._by_id[parent]]
        own = _ids(annotation)
        if own:
            alike = max(self._by_regions, key=lambda ids: len(ids & own), default=own)
            if alike & own and alike in self._by_regions:
                return [self._by_regions[alike]]
        return self._versions if is_independent(annotation) else self._versions[:1]

    def read(self, prediction: Row | None) -> Reading:
        """The regions of a prediction; none where those of a task are too many to read again."""
        if prediction is None:
            return Reading([], 0)
        key = prediction["key"]
        if key in self._readings:
            return self._readings[key]
        size, count = self._dear.get(key, (0, 0))
        if size > self._again:
            return Reading([], count)
        self._again -= size
        reading = read_result(prediction["result"])
        size = sum(map(_num_bytes, reading.regions))
        if size <= self._free:
            self._free -= size
            self._readings[key] = reading
        else:
            self._dear[key] = size, len(reading.regions) + reading.left_out
        return reading


def newest_of_versions(predictions: Sequence[Row]) -> Mapping[str, Row]:
    """The newest prediction of each of the newest model versions, these first."""
    found: dict[str, Row] = {}
    for each in sorted(predictions, key=lambda p: (p["created_at"], p["key"]), reverse=True):
        if len(found) == MAX_VERSIONS:
            break
        found.setdefault(each["model_version"], each)
    return found


def is_shown(prediction: Row | None, annotation: Row) -> bool:
    """Whether an annotation was made of a prediction: of another it says not what became of it."""
    if prediction is None or is_independent(annotation):
        return False
    parent = annotation["parent_prediction"]
    is_parent = parent is not None and prediction["label_studio_id"] == parent
    return is_parent or bool(_ids(prediction) & _ids(annotation))


def is_independent(annotation: Row) -> bool:
    """Whether an annotation was drawn without a prediction to start from."""
    return annotation["parent_prediction"] is None and not any(
        r.get("origin") in ("prediction", "prediction-changed") for r in annotation["result"]
    )


def _ids(one: Row) -> frozenset[object]:
    return frozenset(r.get("id") for r in one["result"] if r.get("id"))


def _num_bytes(region: Region) -> int:
    mask = 0 if region.mask is None else region.mask.size
    return REGION_BYTES + KEY_BYTES * len(region.keys) + mask
