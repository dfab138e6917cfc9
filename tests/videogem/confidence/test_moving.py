"""Moving scenes for a video model's fit: what is said is there, and stills are among them."""

import numpy as np

from benchmarks.confidence.looks import with_look
from benchmarks.confidence.moving import STILL_EVERY, TARGET, filmed_windows, moving, strange_clips
from videogem.demo_world.motions import MOTIONS, NUM_FRAMES

VERBS = {motion.base for motion in MOTIONS}


def test_clips_say_what_is_there_and_every_third_is_a_still():
    found = list(moving(STILL_EVERY, 5, seen=True))
    for number, frame in enumerate(found):
        assert frame.images.shape[0] == NUM_FRAMES
        assert len(frame.said) == len(frame.boxes) and set(frame.said) <= set(frame.true)
        assert len(frame.true) == 2 * len(frame.said)  # what is shown, and the motion
        is_still = bool((frame.images == frame.image).all())
        assert is_still == (number % STILL_EVERY == STILL_EVERY - 1)
        if is_still:  # nobody can see a motion there
            assert not any(text.split()[0] in VERBS for text in frame.said)
        for x1, y1, x2, y2 in frame.boxes:
            assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1


def test_a_clip_keeps_its_look_in_all_frames():
    """The second of the looks turns the hue: by the same angle throughout."""
    (_, plain), (_, turned) = moving(2, 5, seen=True), strange_clips(2, 5)
    assert turned.name == f"{plain.name}:hue"
    for before, after in zip(plain.images, turned.images, strict=True):
        draws = np.random.default_rng([5, 1])
        np.testing.assert_array_equal(after, with_look(before, "hue", draws))


def test_windows_of_the_shipped_clips_have_the_target_in_their_middle():
    frame = next(filmed_windows())
    assert frame.images.shape[0] == NUM_FRAMES and frame.target == TARGET
    assert frame.clip.target_frame is not None and frame.group in frame.name
