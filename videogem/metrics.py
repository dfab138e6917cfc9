"""Pointing accuracy, box overlap and their intervals; one unit per call, whichever it is.

A point hits when it lies in any of the boxes, edges included, as in the reference evaluation.
The reference works on an integer grid instead, see `videogem.method.quirks`; here are floats.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

Number = float | int
Numbers = Sequence[Number] | np.ndarray
YOUCOOK_CANVAS_WH = (640, 360)
MIN_CLUSTERS = 10  # below, how alike the frames of one video are cannot be told


def hit(point: Sequence[Number], boxes: Iterable[Sequence[Number]]) -> bool:
    """Say whether a point lies in any box (xyxy), edges included; no box is never hit.

    >>> hit((0.5, 0.2), [(0.0, 0.0, 0.4, 0.4), (0.5, 0.2, 0.9, 0.9)])
    True
    """
    x, y = point
    return any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in boxes)


def box_area(box: Sequence[Number]) -> float:
    """Area of an xyxy box; an inverted box has none."""
    x1, y1, x2, y2 = box
    return float(max(0, x2 - x1) * max(0, y2 - y1))


def box_iou(a: Sequence[Number], b: Sequence[Number]) -> float:
    """Intersection over union of two xyxy boxes; 0 where both are empty.

    >>> box_iou((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    overlap = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    intersection = box_area(overlap)
    union = box_area(a) + box_area(b) - intersection
    return intersection / union if union > 0 else 0.0


def best_iou(box: Sequence[Number], targets: Iterable[Sequence[Number]]) -> float:
    """Overlap with the target that fits best, the box counterpart of "any box hits"."""
    return max((box_iou(box, target) for target in targets), default=0.0)


def best_ious(
    boxes: Float[np.ndarray, "N 4"], targets: Float[np.ndarray, "M 4"]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " M"]]:
    """`best_iou` of every box, and of every target among the boxes.

    One row of overlaps is held at a time: many boxes cost time, never memory.

    >>> best_ious(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5.0, 5, 6, 6]]))
    (array([0.33333333]), array([0.33333333, 0.        ]))
    """
    of_boxes, of_targets = np.zeros(len(boxes)), np.zeros(len(targets))
    areas = (targets[:, 2] - targets[:, 0]).clip(0) * (targets[:, 3] - targets[:, 1]).clip(0)
    for number, box in enumerate(boxes if len(targets) else ()):
        low, high = np.maximum(box[:2], targets[:, :2]), np.minimum(box[2:], targets[:, 2:])
        sides = (high - low).clip(0)
        shared = sides[:, 0] * sides[:, 1]
        union = max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0) + areas - shared
        overlaps = np.divide(shared, union, out=np.zeros(len(targets)), where=union > 0)
        of_boxes[number] = overlaps.max()
        np.maximum(of_targets, overlaps, out=of_targets)
    return of_boxes, of_targets


def enclosing_box(boxes: Sequence[Sequence[Number]]) -> tuple[float, float, float, float]:
    """The smallest box round all boxes, what the reference takes as V-HICO's target.

    Raises:
        ValueError: there is no box.
    """
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return float(min(x1)), float(min(y1)), float(max(x2)), float(max(y2))


def wilson_interval(hits: Number, n: Number, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a share, honest near 0 and 1 and for few samples; (0, 1) for none.

    Both numbers may be fractions: an effective number of samples.

    Raises:
        ValueError: ``hits`` is not in 0..n, or ``confidence`` not in (0, 1).

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927), without continuity correction.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"hits must be in 0..n, got {hits} of {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}")
    if n == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = hits / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * n)) / n) / (1 + z2 / n)
    # Rounding may leave 1e-17 where the formula says 0 or 1.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == n else min(1.0, centre + half)
    return low, high


class Clusters:
    """Hits and samples of clusters, counted as they come; the interval is ready at any time.

    Clusters are videos with their frames or scenes with their actors. How many there are of each
    size and number of hits is all that counts, so an interval costs little whatever their number.
    """

    def __init__(self) -> None:
        self._clusters: dict[Hashable, tuple[Number, int]] = {}
        self._counts: dict[tuple[Number, int], int] = {}

    def __len__(self) -> int:
        return len(self._clusters)

    def add(self, cluster: Hashable, hits: Number, samples: int = 1) -> None:
        """Count more samples of a cluster."""
        before = self._clusters.get(cluster)
        if before is not None:
            self._counts[before] -= 1
            if not self._counts[before]:
                del self._counts[before]
            hits, samples = before[0] + hits, before[1] + samples
        self._clusters[cluster] = hits, samples
        self._counts[hits, samples] = self._counts.get((hits, samples), 0) + 1

    @classmethod
    def of(cls, sums: Sequence[Number], sizes: Sequence[int]) -> "Clusters":
        """Clusters whose hits (or sums of differences) and samples are known."""
        made = cls()
        for cluster, (total, size) in enumerate(zip(sums, sizes, strict=True)):
            made.add(cluster, total, size)
        return made

    @property
    def hits(self) -> Number:
        return sum(total * count for (total, _), count in self._counts.items())

    @property
    def samples(self) -> int:
        return sum(size * count for (_, size), count in self._counts.items())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of the share of hits where members of a cluster are alike (`share_interval`).

        >>> videos = Clusters.of([9, 10, 4, 10, 8, 10, 10, 9, 7, 10], [10] * 10)
        >>> print("{:.2f} {:.2f}".format(*videos.interval()))
        0.61 0.97
        """
        return share_interval(self._counts, confidence)

    def mean_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of a mean (of overlaps, of differences) that is no share of hits.

        Raises:
            ValueError: there are fewer than two clusters.
        """
        totals, sizes = zip(*self._counts, strict=True) if self._counts else ((), ())
        return ratio_interval(totals, sizes, list(self._counts.values()), confidence)


def share_interval(
    counts: Mapping[tuple[Number, int], int] | Mapping[tuple[int, int], int],
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval of a share of hits over clusters: how many there are by their (hits, samples).

    Clusters of one sample each give the Wilson interval. Otherwise the share's log-odds get the
    standard error over clusters and a quantile of Student's distribution: on that scale the
    interval stays within 0 and 1 and is longer towards the middle. Fewer than `MIN_CLUSTERS`, or
    clusters that all have the same share, do not tell how alike their members are: then each
    cluster counts as one sample (Wilson's interval for Kish's effective number of them), which is
    the widest case.

    Source: Korn and Graubard, Survey Methodology 24 (1998), compare the scales.
    """
    hits = sum(total * count for (total, _), count in counts.items())
    n = sum(size * count for (_, size), count in counts.items())
    if all(size == 1 for _, size in counts):
        return wilson_interval(hits, n, confidence)
    share = hits / n
    alike = all(math.isclose(total, share * size) for total, size in counts)
    if sum(counts.values()) < MIN_CLUSTERS or alike:
        squares = sum(size**2 * count for (_, size), count in counts.items())
        effective = n**2 / squares
        return wilson_interval(share * effective, effective, confidence)
    totals, sizes = zip(*counts, strict=True)
    error, quantile = _standard_error(totals, sizes, list(counts.values()), confidence)
    odds = math.log(share / (1 - share))
    half = quantile * error / (share * (1 - share))
    return 1 / (1 + math.exp(min(half - odds, 700.0))), 1 / (1 + math.exp(-half - odds))


def ratio_interval(
    totals: Numbers, sizes: Numbers, times: Numbers, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a mean over clusters with these sums and samples, each so many times.

    Raises:
        ValueError: there are fewer than two clusters.
    """
    error, quantile = _standard_error(totals, sizes, times, confidence)
    mean = _dot(totals, times) / _dot(sizes, times)
    return mean - quantile * error, mean + quantile * error


def _standard_error(
    totals: Numbers, sizes: Numbers, times: Numbers, confidence: float
) -> tuple[float, float]:
    """Standard error of the mean over clusters, and how often it is taken.

    The error is that of a ratio (linearised). The quantile is Student's, whose degrees of freedom
    say how well the error itself is known: with few videos that differ much from the rest, as
    where nearly all are hit throughout, hardly at all.

    Source: Cochran, Sampling Techniques (1977); Satterthwaite, Biometrics 2 (1946).
    """
    from scipy.special import stdtrit  # a tenth of a second that few callers need

    count = int(np.sum(times))
    if count < 2:
        raise ValueError(f"an interval over clusters needs at least two of them, got {count}")
    n = _dot(sizes, times)
    mean = _dot(totals, times) / n
    squares = (np.asarray(totals) - mean * np.asarray(sizes)) ** 2
    spread, fourth = _dot(squares, times), _dot(squares**2, times)
    freedom = 2 * spread**2 / fourth if fourth > 0 else count - 1.0
    freedom = max(1.0, min(count - 1.0, max(2.0, freedom)))
    error = math.sqrt(count / (count - 1) * spread) / n
    return error, float(stdtrit(freedom, (1 + confidence) / 2))


def _dot(values: Numbers, times: Numbers) -> float:
    return math.fsum((np.asarray(values) * np.asarray(times)).tolist())


def difference_interval(
    sums: Sequence[Number], sizes: Sequence[int], confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the mean ``sum(sums) / sum(sizes)`` of differences (`Clusters.mean_interval`).

    Raises:
        ValueError: there are fewer than two clusters.
    """
    return Clusters.of(sums, sizes).mean_interval(confidence)


@dataclass(frozen=True)
class Share:
    """``hits`` of ``n`` with the interval of the share; the share is None for no samples."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def accuracy(self) -> float | None:
        return self.hits / self.n if self.n else None


def pointing_accuracy(
    outcomes: Iterable[bool], clusters: Iterable[Hashable] | None = None, confidence: float = 0.95
) -> Share:
    """Share of hits over all samples (micro), with its interval.

    ``clusters`` says which video each sample is of, because frames of one video are alike
    (`Clusters`); without them every sample stands alone (Wilson).
    """
    values = list(outcomes)
    groups = range(len(values)) if clusters is None else clusters
    counted = Clusters()
    for value, group in zip(values, groups, strict=True):
        counted.add(group, int(value))
    return Share(sum(values), len(values), *counted.interval(confidence))


def accuracy_by_label(
    outcomes: Iterable[bool],
    labels: Iterable[str],
    clusters: Iterable[Hashable] | None = None,
    confidence: float = 0.95,
) -> dict[str, Share]:
    """Pointing accuracy per label, labels in alphabetical order."""
    values = list(outcomes)
    groups = range(len(values)) if clusters is None else clusters
    found: dict[str, tuple[list[bool], list[Hashable]]] = {}
    for outcome, label, group in zip(values, labels, groups, strict=True):
        own_outcomes, own_clusters = found.setdefault(label, ([], []))
        own_outcomes.append(outcome)
        own_clusters.append(group)
    return {label: pointing_accuracy(*found[label], confidence) for label in sorted(found)}


def macro_accuracy(by_label: Mapping[str, Share]) -> float | None:
    """Mean of the labels' accuracies, each label counting the same; None without labels."""
    shares = [share.accuracy for share in by_label.values() if share.accuracy is not None]
    return math.fsum(shares) / len(shares) if shares else None


def youcook_canvas(size_wh: tuple[Number, Number]) -> tuple[Number, Number]:
    """The canvas YouCook-Interactions boxes refer to: frames past 640 x 360 were capped to it."""
    width, height = size_wh
    return YOUCOOK_CANVAS_WH if height > 360 and width > 640 else size_wh
