"""Clips of every container and timing trouble, made once."""

import pytest

from tests import clips
from tests.clips import X264


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    clips.require_ffmpeg()
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def plain(folder):
    """Four seconds of H.264 with B-frames and one key frame, and sound for six."""
    return clips.encode(folder / "plain.mp4", *X264, "-bf", "3", "-g", "250", audio=6)


def _vfr(folder):
    # Every frame has another length, as phones and screen recorders write them.
    warp = "setpts='(N+0.4*mod(N\\,3)+floor(N/20)*8)/25/TB'"
    args = ("-vf", warp, "-fps_mode", "vfr", "-video_track_timescale", "90000")
    return clips.encode(folder / "vfr.mp4", *X264, "-bf", "2", "-g", "30", *args)


def _vfr_webm(folder):
    keep = "select='lt(mod(n,10),4)+not(mod(n,7))'"
    args = ("-vf", keep, "-fps_mode", "vfr", "-c:v", "libvpx", "-deadline", "realtime")
    return clips.encode(folder / "vfr.webm", *args, "-g", "20")


def _edit_list(folder):
    whole = clips.encode(folder / "whole.mp4", *X264, "-bf", "3", "-g", "250", audio=4)
    clips.ffmpeg("-ss", "1.5", "-i", whole, "-c", "copy", folder / "edit_list.mp4")
    return folder / "edit_list.mp4"


def _transport_stream(folder):
    args = ("-bf", "2", "-g", "40", "-c:a", "aac", "-muxdelay", "0.7")
    return clips.encode(folder / "offset.ts", *X264, *args, frames=150, audio=6)


def _silent_transport_stream(folder):
    return clips.encode(
        folder / "silent.ts", *X264, "-bf", "2", "-g", "50", "-output_ts_offset", "900"
    )


def _vp9(folder):
    args = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "40")
    return clips.encode(folder / "vp9.webm", *args, "-c:a", "libopus", fps="30", audio=4)


def _av1(folder):
    args = ("-c:v", "libsvtav1", "-preset", "12", "-g", "40", "-svtav1-params", "lp=1")
    return clips.encode(folder / "av1.mp4", *args)


def _open_gop(folder):
    args = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1")
    params = "open-gop=1:keyint=20:min-keyint=20:bframes=3:b-adapt=0:log-level=error"
    return clips.encode(folder / "hevc.mp4", *args, "-x265-params", params)


def _open_gop_h264(folder):
    params = "open-gop=1:keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0"
    return clips.encode(folder / "open.mkv", *X264, "-x264-params", params)


MATRIX = {
    "b_frames": lambda folder: folder / "plain.mp4",
    "long_gop": lambda folder: clips.encode(
        folder / "long.mp4", *X264, "-bf", "3", "-g", "999", "-sc_threshold", "0", frames=400
    ),
    "many_key_frames": lambda folder: clips.encode(
        folder / "keys.mp4", *X264, "-bf", "3", "-g", "12"
    ),
    "ntsc_rate": lambda folder: clips.encode(
        folder / "ntsc.mkv", *X264, "-g", "30", fps="30000/1001"
    ),
    "variable_rate": _vfr,
    "variable_rate_webm": _vfr_webm,
    "edit_list": _edit_list,
    "late_picture": lambda folder: clips.encode(
        folder / "late.mp4", *X264, "-vf", "setpts=PTS+0.8/TB", "-fps_mode", "vfr", audio=6
    ),
    "transport_stream": _transport_stream,
    "silent_transport_stream": _silent_transport_stream,
    "vp9": _vp9,
    "av1": _av1,
    "hevc_open_gop": _open_gop,
    "h264_open_gop": _open_gop_h264,
    "fragmented": lambda folder: clips.encode(
        folder / "frag.mp4", *X264, "-g", "25", "-movflags", "frag_keyframe+empty_moov"
    ),
    "avi": lambda folder: clips.encode(
        folder / "old.avi", "-c:v", "mpeg4", "-bf", "2", "-q:v", "3"
    ),
    "intra_refresh": lambda folder: clips.encode(
        folder / "live.mp4", *X264, "-x264-params", "intra-refresh=1:keyint=30"
    ),
    "one_frame": lambda folder: clips.encode(folder / "one.mp4", *X264, frames=1),
    "two_frames": lambda folder: clips.encode(folder / "two.mp4", *X264, "-bf", "2", frames=2),
}


@pytest.fixture(scope="session", params=sorted(MATRIX))
def case(request, folder, plain):
    path = MATRIX[request.param](folder)
    times, numbers = clips.true_frames(path)
    if request.param == "late_picture":  # the player's clock starts with the sound
        times = [time + 0.8 for time in times]
    return request.param, path, times, numbers
