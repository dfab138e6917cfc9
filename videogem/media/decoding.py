"""Video frames by timestamp with PyAV: seek, decode forward, compare presentation times.

Time 0 is where a player starts the file. A frame is shown from its presentation time until the
next one's, so the frame at time t is the last that begins at or before t. Frame numbers are never
used to address a frame: with B-frames, edit lists or a variable rate they mislead.
"""

import errno
import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from videogem.media.colours import to_rgb
from videogem.media.orientation import degrees_clockwise, display_matrix, swaps_sides, upright
from videogem.media.sources import (
    BinaryFile,
    Frame,
    FrameReader,
    Limits,
    Seconds,
    VideoInfo,
    VideoReadError,
    check_pixels,
)
from videogem.media.timeline import (
    Timeline,
    declared_end,
    read_clock,
    timeline_from_index,
    timeline_from_packets,
)

logger = logging.getLogger(__name__)

# Playlists (HLS, DASH, concat) are left out: they would make the decoder open other files and URLs.
_CONTAINERS = "mov,matroska,webm,mpegts,mpeg,avi,flv,ogg,asf,ivf,gif,nut,dv"
_BUFFER = 64 * 2**10  # bytes a read; a remote reader fetches ranges of its own size below this
_PREROLLS = (0.0, 1.0, 4.0, 16.0, 64.0)  # s before the wanted time to try a seek at
_LEAP = 10.0  # s; without a key frame table, shorter gaps are decoded through rather than sought
_SCANNED = 64 * 2**20  # bytes; local files up to this size are counted packet by packet
_PICTURES = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
_STILL_CODECS = frozenset({"mjpeg", "png", "bmp", "tiff", "webp", "gif"})
_OPEN = 2**62  # a tick after every other

_Decoded = tuple[int, av.VideoFrame]  # presentation time in ticks, frame


class VideoReader(FrameReader):
    """One opened video; ``frames_at`` goes through it once, forwards.

    ``num_decoded`` counts the frames decoded so far, wanted or not.

    Raises:
        VideoReadError: not a video, damaged, or larger than the limits.
    """

    def __init__(
        self, file: BinaryFile, *, name: str, size: int, local: bool, limits: Limits
    ) -> None:
        self.name = name
        self.num_decoded = 0
        self._opening: Iterator[_Decoded] | None = None
        self._gaps: list[list[int]] = []
        self._file = _Borrowed(file, size)
        self._open()
        try:
            self._timeline = self._read_timeline(size, local=local)
            check_pixels(name, self._stream.width, self._stream.height, limits)
            first = self._decode_first()
            self._clock = read_clock(self._container, self._stream, self._timeline, first=first[0])
            self.info = self._describe(first[1])
            self._check(limits)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Free the decoder; the file object stays open."""
        self._container.close()

    # Opening and measuring

    def _open(self) -> None:
        self._file.seek(0)
        try:
            container = av.open(
                self._file,
                buffer_size=_BUFFER,
                options={"format_whitelist": _CONTAINERS},
                metadata_errors="replace",
            )
        except av.error.FFmpegError as error:
            raise VideoReadError(
                f"{self.name} cannot be read as a video ({error.strerror}); it may be damaged, cut "
                "short or of another format. MP4 (H.264) and WebM are safe choices."
            ) from error
        streams = [s for s in container.streams.video if not s.disposition & _PICTURES]
        if not streams:
            container.close()
            raise VideoReadError(f"{self.name} has no pictures (sound only); give a video.")
        # Of unknown codecs there is nothing, whatever PyAV's annotations say.
        decodable = [s for s in streams if cast(object, s.codec_context) is not None]
        if not decodable:
            container.close()
            raise VideoReadError(
                f"{self.name} is in a video format that cannot be decoded here; convert it to MP4 "
                "(H.264) or WebM."
            )
        self._container = cast(InputContainer, container)
        self._stream = max(decodable, key=_worth)
        self._stream.thread_type = "AUTO"

    def _read_timeline(self, size: int, *, local: bool) -> Timeline | None:
        index = timeline_from_index(self._container, self._stream, size)
        if index is not None and not index.varies:
            return index
        endless = self._stream.duration is None and self._container.duration is None
        guessed = self._container.format.name == "mpeg"  # from the bit rate, and often wrong
        if endless or guessed or (local and size <= _SCANNED):
            counted = timeline_from_packets(self._packets(), self._stream)
            self._reopen()
            return counted or index
        return index

    def _decode_first(self) -> _Decoded:
        frames = self._decode(from_start=True)
        first = next(frames, None)
        if first is None:
            raise VideoReadError(
                f"No frame of {self.name} can be decoded; it may be damaged or cut short."
            )
        self._opening = _chain(first, frames)
        return first

    def _check(self, limits: Limits) -> None:
        check_pixels(self.name, self.info.width, self.info.height, limits)
        if self.info.end > limits.max_duration:
            raise VideoReadError(
                f"{self.name} lasts {self.info.end:.0f} s, more than the limit of "
                f"{limits.max_duration:.0f} s; cut it, or raise the limit."
            )

    def _describe(self, frame: av.VideoFrame) -> VideoInfo:
        matrix = display_matrix(frame)
        width, height = frame.width, frame.height
        if swaps_sides(matrix):
            width, height = height, width
        timeline, clock = self._timeline, self._clock
        return VideoInfo(
            kind="video",
            width=width,
            height=height,
            fps=clock.fps,
            duration=clock.seconds(clock.end),
            end=clock.seconds(clock.last),
            num_frames=self._stream.frames or None if timeline is None else len(timeline),
            rotation=degrees_clockwise(matrix),
            variable_rate=timeline is not None and timeline.varies,
            codec=self._stream.codec_context.name,
            truncated=clock.truncated,
        )

    # Reading

    def frames_at(self, times: Sequence[Seconds]) -> Iterator[Frame]:
        """Give the frame shown at each time; ``times`` must ascend.

        Decodes forwards, and seeks only over a gap that has a key frame in it.

        Raises:
            VideoReadError: the frames there are damaged, or the file ends before.
        """
        upcoming = self._opening or self._restart()
        self._opening = None
        shown: _Decoded | None = None
        ahead: _Decoded | None = None
        made: Frame | None = None
        for time in times:
            target = self._clock.ticks(time)
            position = self._clock.first if shown is None else shown[0]
            if ahead is not None:
                position = max(position, ahead[0])
            if self._should_seek(position, target, started=shown is not None):
                upcoming, shown, ahead = self._seek(target), None, None
            while ahead is None or ahead[0] <= target or shown is None:
                if ahead is not None:
                    shown = ahead
                ahead = next(upcoming, None)
                if ahead is None:
                    break
            if shown is None:
                raise VideoReadError(f"No frame of {self.name} at {time:g} s can be decoded.")
            self._check_readable(time, target, shown, at_end=ahead is None)
            if made is None or made.time != self._clock.seconds(shown[0]):
                made = self._make(*shown)
            yield made

    def neighbours(self, time: Seconds, offsets: Sequence[int]) -> list[float]:
        timeline = self._timeline
        if timeline is None:
            step = 1 / (self.info.fps or 25.0)
            # The middle of a frame: safe against rounding where only the average rate is known.
            base = (int(time / step + 1e-6) + 0.5) * step
            return [min(max(base + offset * step, 0.0), self.info.end) for offset in offsets]
        index = self._index(self._clock.ticks(time))
        places = np.clip(index + np.array(offsets), 0, len(timeline.pts) - 1)
        return [max(0.0, self._clock.seconds(int(timeline.pts[place]))) for place in places]

    def _should_seek(self, position: int, target: int, *, started: bool) -> bool:
        if target <= position:
            return False
        if self._timeline is not None and len(self._timeline.keys):
            return self._timeline.has_key_between(position, target)
        return (target - position) * self._clock.tick > _LEAP

    def _seek(self, target: int) -> Iterator[_Decoded]:
        """Start decoding at or before ``target``, as late as the file allows.

        MPEG-TS seeks to bytes, not to key frames, and indexes can be wrong: what comes out is
        checked, and the seek repeated further back if it came out late.
        """
        for preroll in _PREROLLS:
            start = target - round(Fraction(preroll) / self._clock.tick)
            if start <= self._clock.first:
                break
            try:
                self._container.seek(start, stream=self._stream, backward=True)
            except av.error.FFmpegError:
                continue
            frames = self._decode(from_start=False)
            first = next(frames, None)
            if first is None or first[0] > target:
                continue
            if first[1].pict_type not in (PictureType.I, PictureType.NONE):
                break  # live streams renew the picture bit by bit: no place is good to enter at
            return _chain(first, frames)
        logger.debug("%s: no usable seek to tick %d, decoding from the start", self.name, target)
        return self._restart()

    def _restart(self) -> Iterator[_Decoded]:
        self._reopen()
        return self._decode(from_start=True)

    def _reopen(self) -> None:
        self._container.close()
        self._open()

    def _packets(self) -> Iterator[av.Packet]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            logger.debug("%s: reading stops: %s", self.name, error)
        except IndexError:
            # PyAV 18 stumbles at the very end, after the last frame, over streams that begin within
            # the file (MPEG-TS recordings have them).
            logger.debug("%s: a stream began within the file", self.name)

    def _decode(self, *, from_start: bool) -> Iterator[_Decoded]:
        """Decode what follows, in presentation order, leaving out what cannot be exact.

        After a seek or a damaged packet, frames may refer to pictures that are missing, until the
        next key frame; frames shown in that gap are never given.
        """
        # Gaps: [first tick, tick where good frames resume). A seek lands inside one.
        self._gaps = [] if from_start else [[-_OPEN, _OPEN]]
        for packet in self._packets():
            pts = packet.pts if packet.pts is not None else packet.dts
            waiting = bool(self._gaps) and self._gaps[-1][1] == _OPEN
            broken = packet.is_corrupt
            if waiting and packet.size:
                if broken or not packet.is_keyframe:
                    if pts is not None:
                        self._gaps[-1][0] = min(self._gaps[-1][0], pts)
                    continue
                self._gaps[-1][1] = pts if pts is not None else -_OPEN
            frames: list[av.VideoFrame] = []
            if not broken:
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    broken = True
            if broken and packet.size and not packet.is_discard and pts is not None:
                logger.debug("%s: damaged packet at tick %s", self.name, pts)
                self._gaps.append([pts, _OPEN])
            for frame in frames:
                self.num_decoded += 1
                tick = frame.pts if frame.pts is not None else frame.dts
                if tick is None or frame.is_corrupt or self._in_gap(tick):
                    continue
                yield tick, frame

    def _in_gap(self, tick: int) -> bool:
        return any(begin <= tick < end for begin, end in self._gaps)

    def _check_readable(self, time: Seconds, target: int, shown: _Decoded, *, at_end: bool) -> None:
        lost = any(shown[0] < begin <= target < end for begin, end in self._gaps)
        if lost or (at_end and self._is_missing(target, shown)):
            good = self._clock.seconds(shown[0])
            raise VideoReadError(
                f"The frame at {time:g} s of {self.name} is damaged or missing (the last good one "
                f"before it is at {good:.3f} s); download the file again or re-encode it."
            )

    def _is_missing(self, target: int, shown: _Decoded) -> bool:
        """Tell a file that was cut short from one whose sound outlasts its pictures."""
        pts, frame = shown
        slack = round(Fraction(1, 10) / self._clock.tick)
        end = pts + max(frame.duration or 0, self._clock.step) + slack
        declared = declared_end(self._stream)
        return declared is not None and target > end and declared > end

    # Units

    def _index(self, pts: int) -> int:
        """Place of a frame in presentation order, exact where the timeline is."""
        if self._timeline is not None:
            return self._timeline.place(pts + round(self._clock.tolerance / self._clock.tick))
        elapsed = float((pts - self._clock.first) * self._clock.tick)
        return max(0, round(elapsed * (self.info.fps or 25.0)))

    def _make(self, pts: int, frame: av.VideoFrame) -> Frame:
        image = upright(to_rgb(frame), display_matrix(frame))
        return Frame(image, self._clock.seconds(pts), self._index(pts))


def _worth(stream: VideoStream) -> tuple[bool, bool, int, int]:
    """Which of several streams a player shows: no thumbnail, the default, the largest, the first.

    A thumbnail is one picture in a format of stills, beside a stream that moves.
    """
    still = bool(stream.disposition & av.stream.Disposition.still_image) or (
        stream.frames == 1 and stream.codec_context.name in _STILL_CODECS
    )
    default = bool(stream.disposition & av.stream.Disposition.default)
    return not still, default, stream.width * stream.height, -stream.index


class _Borrowed:
    """A file object of someone else: PyAV may read and seek it, but not close it."""

    def __init__(self, file: BinaryFile, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OSError, OverflowError):
            if whence == 0 and not 0 <= offset <= self._size:
                return -errno.EINVAL  # a damaged file asked for a place that is not there
            raise

    def tell(self) -> int:
        return self._file.tell()


def _chain(first: _Decoded, rest: Iterator[_Decoded]) -> Iterator[_Decoded]:
    yield first
    yield from rest
