"""A video and what was said in it → Label Studio tasks, with their frames written beside."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from PIL import Image

from backend.commands.support.task_folder import claim_folder, copy_whole, whole_file
from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.media.video import VideoInfo, open_frames, probe, read_clips
from videogem.narration.reading import At, Cue, best_times, candidate_times, cue_time
from videogem.structures import Clip

Kind = Literal["frame", "frames", "video"]
Scorer = Callable[[Clip, str], float]  # how well a frame fits a narration
Advance = Callable[[int, int], None]  # done, total

LOCAL_FILES = "/data/local-files/?d="
WINDOW = 8  # frames of a frame list: four before the moment and three after it
STEP = 0.25  # s between them
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Moment:
    """A cue and the time it is looked at; ``reason`` says why it is left out, if it is."""

    cue: Cue
    time: float
    choice: str
    place: int = 0  # of several moments in one cue
    reason: str | None = None


def plan_moments(
    cues: Sequence[Cue],
    info: VideoInfo,
    *,
    at: At = "middle",
    offset: Seconds = 0,
    every: Seconds | None = None,
    judge: Callable[[str], str | None] | None = None,
) -> list[Moment]:
    """Decide when each cue is looked at: once, or ``every`` so many seconds while it lasts.

    ``judge`` gives the reason to leave a narration out, or None. Cues that start after the video's
    end are left out as well; times after it are moved back to it.

    Raises:
        InputError: ``every`` is not positive.
    """
    if every is not None and not every > 0:
        raise InputError(f"--every must be a positive number of seconds, got {every}.")
    moments: list[Moment] = []
    for cue in cues:
        reason = judge(cue.text) if judge is not None else None
        if cue.start > info.end:
            reason = f"starts after the video ends ({info.end:.1f} s)"
        times = [cue_time(cue, at, offset)]
        choice = at if not offset else f"{at} {offset:+g} s"
        if every is not None:
            count = int((cue.end - cue.start) / every + 1e-6) + 1
            times = [max(0.0, cue.start + step * every + offset) for step in range(count)]
            choice = f"every {every:g} s"
        for place, time in enumerate(times if reason is None else times[:1]):
            moments.append(Moment(cue, float(min(time, info.end)), choice, place, reason))
    return moments


def choose_best(
    video: Path,
    moments: Sequence[Moment],
    score: Scorer,
    *,
    count: int = 5,
    num_frames: int = 1,
    offset: Seconds = 0,
    advance: Advance | None = None,
) -> list[Moment]:
    """Move each moment to that of ``count`` in its cue whose frame fits the narration best."""
    kept = [moment for moment in moments if moment.reason is None]
    end = probe(video).end
    candidates = [
        [min(time, end) for time in candidate_times(moment.cue, count, offset)] for moment in kept
    ]

    def rate(times: Sequence[Seconds], places: Sequence[int]) -> list[float]:
        scores = []
        clips = read_clips(video, times, num_frames=num_frames)
        for done, (clip, place) in enumerate(zip(clips, places, strict=True), start=1):
            scores.append(score(clip, kept[place].cue.text))
            if advance is not None:
                advance(done, len(times))
        return scores

    best = iter(best_times([moment.cue for moment in kept], candidates, rate))
    return [
        moment
        if moment.reason is not None
        else replace(moment, time=float(next(best)), choice=f"best of {count}")
        for moment in moments
    ]


def build_tasks(
    video: str | Path,
    cues: Sequence[Cue],
    *,
    kind: Kind = "frame",
    out_dir: str | Path,
    url_prefix: str = LOCAL_FILES,
    files_root: str | Path | None = None,
    at: At = "middle",
    offset: Seconds = 0,
    every: Seconds | None = None,
    moments: Sequence[Moment] | None = None,
    advance: Advance | None = None,
) -> list[dict[str, Any]]:
    """Make import tasks for the labeling configs `frame`, `frames` or `video`.

    Frames are written as JPEG below ``out_dir``; what a task says of a file is ``url_prefix`` and
    its path below ``files_root`` (default: ``out_dir``; Label Studio's document root). A video
    outside ``files_root`` is copied to its frames' folder. Ids and file names depend on the video's
    name, the cue and its time alone, so that a second run makes the same tasks; only another video
    of the same name has a folder and ids of its own.

    Raises:
        InputError: the video cannot be read, or ``out_dir`` lies outside ``files_root``.
    """
    video, out_dir = Path(video), Path(out_dir)
    root = Path(files_root) if files_root is not None else out_dir
    info = probe(video)
    served = kind == "video" and video.resolve().is_relative_to(root.resolve())
    if served:
        folder = video.stem
    else:
        _check_below(out_dir, root)
        folder = claim_folder(out_dir, video)
    place = _Placing(video, out_dir, root, url_prefix, folder, served)
    if moments is None:
        moments = plan_moments(cues, info, at=at, offset=offset, every=every)
    kept = [moment for moment in moments if moment.reason is None]
    if kind == "video":
        return [_video_task(place, kept, info)]
    if kind == "frame":
        return _frame_tasks(place, kept, advance)
    return _frame_list_tasks(place, kept, advance)


@dataclass(frozen=True)
class _Placing:
    """Where files go, and what tasks call them."""

    video: Path
    out_dir: Path
    root: Path
    url_prefix: str
    folder: str  # of the frames, below out_dir
    served: bool  # the video itself is, where it lies

    def url(self, path: Path) -> str:
        return self.url_prefix + quote(_check_below(path, self.root).as_posix())

    def frame(self, time: float) -> Path:
        return self.out_dir / self.folder / f"{round(time * 1000):08d}.jpg"

    def video_url(self) -> str:
        if self.served:
            return self.url(self.video)
        copy = self.out_dir / self.folder / self.video.name
        copy_whole(self.video, copy)
        return self.url(copy)

    def key(self, kind: Kind, *parts: object) -> str:
        """An id: the same on every run, another one for every other clip."""
        own = () if self.folder == self.video.stem else (self.folder,)
        text = "\n".join(map(str, (self.video.name, *own, kind, *parts)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_below(path: Path, root: Path) -> Path:
    """The path as seen from the folder that is served.

    Raises:
        InputError: it is not in there.
    """
    try:
        return path.resolve().relative_to(root.resolve())
    except ValueError:
        raise InputError(
            f"{path} lies outside the folder that is served ({root}); choose --out inside it, or "
            "another --files-root."
        ) from None


def _frame_tasks(
    place: _Placing, moments: Sequence[Moment], advance: Advance | None
) -> list[dict[str, Any]]:
    order = sorted(range(len(moments)), key=lambda number: moments[number].time)
    paths: dict[int, Path] = {}
    written = _written(place, [moments[number].time for number in order])
    for done, (number, path) in enumerate(zip(order, written, strict=True), start=1):
        paths[number] = path
        if advance is not None:
            advance(done, len(moments))
    return [
        {"data": {"frame": place.url(paths[number]), **_about(place, "frame", moment)}}
        for number, moment in enumerate(moments)
    ]


def _frame_list_tasks(
    place: _Placing, moments: Sequence[Moment], advance: Advance | None
) -> list[dict[str, Any]]:
    """One task for each moment: the frames a video model would see, in their order."""
    offsets = [(number - WINDOW // 2) * STEP for number in range(WINDOW)]
    with open_frames(place.video) as reader:
        end = reader.info.end
    windows = [
        [min(max(moment.time + offset, 0.0), end) for offset in offsets] for moment in moments
    ]
    times = sorted({time for window in windows for time in window})
    paths: dict[float, Path] = {}
    for done, (time, path) in enumerate(zip(times, _written(place, times), strict=True), start=1):
        paths[time] = path
        if advance is not None:
            advance(done, len(times))
    tasks = []
    for moment, window in zip(moments, windows, strict=True):
        # At an end of the video the same frame would come again and again: once is enough here,
        # the backend repeats it.
        frames = list(dict.fromkeys(paths[time] for time in window))
        urls = [place.url(path) for path in frames]
        target = frames.index(paths[window[WINDOW // 2]])
        about = _about(place, "frames", moment)
        tasks.append({"data": {"frames": urls, **about, "target": target}})
    return tasks


def _video_task(place: _Placing, moments: Sequence[Moment], info: VideoInfo) -> dict[str, Any]:
    cues = list(dict.fromkeys(moment.cue for moment in moments))
    spoken = [
        {"start": round(cue.start, 3), "end": round(min(cue.end, info.end), 3), "text": cue.text}
        for cue in cues
    ]
    url = place.video_url()
    where = (url,) if place.served else ()  # others of the same name may be served as well
    data = {
        "video": url,
        "narration": spoken,
        "fps": info.fps,
        "id": place.key("video", spoken, *where),
    }
    return {"data": data}


def _written(place: _Placing, times: Sequence[float]) -> Iterator[Path]:
    """Write the frames at ascending times; those of one moment are one file."""
    if not times:
        return
    place.frame(0).parent.mkdir(parents=True, exist_ok=True)
    with open_frames(place.video) as reader:
        for frame in reader.frames_at(times):
            path = place.frame(frame.time)
            with whole_file(path) as part:
                Image.fromarray(frame.image).save(part, "JPEG", quality=JPEG_QUALITY)
            yield path


def _about(place: _Placing, kind: Kind, moment: Moment) -> Mapping[str, Any]:
    cue = moment.cue
    start, end = round(cue.start, 3), round(cue.end, 3)
    return {
        "narration": cue.text,
        "time": round(moment.time, 3),
        "start": start,
        "end": end,
        "chosen": moment.choice,
        "source": place.video.name,
        "id": place.key(kind, start, end, cue.text, moment.place),
    }
