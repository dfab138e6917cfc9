"""Every narration format as it is found in the wild; nothing in a file may crash the reader."""

import json
import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videogem.errors import InputError
from videogem.narration.cues import tidy
from videogem.narration.reading import (
    Cue,
    Word,
    best_times,
    candidate_times,
    cue_time,
    parse_cues,
    read_cues,
    shift,
)

DATA = Path(__file__).parents[2] / "data" / "narration"
TWO = [Cue(9.8, 12.1, "crack two eggs"), Cue(14.0, 16.5, "whisk them")]


def texts(cues):
    return [cue.text for cue in cues]


class TestSamples:
    def test_srt(self):
        assert read_cues(DATA / "a.srt") == TWO

    def test_rolling_captions_collapse(self):
        cues = read_cues(DATA / "youtube_auto_rolling.vtt")
        assert [(cue.start, cue.end, cue.text) for cue in cues] == [
            (9.8, 12.1, "crack two eggs"),
            (12.11, 14.9, "whisk them"),
        ]
        assert cues[0].words == (
            Word("crack", 9.8, 10.2),
            Word("two", 10.2, 10.5),
            Word("eggs", 10.5, 12.1),
        )

    def test_whisperx_interpolates_what_is_missing(self):
        (cue,) = read_cues(DATA / "whisperx.json")
        assert cue.text == "crack 2 eggs"
        assert cue.words[1] == Word("2", 10.1, 10.5)

    def test_howto100m(self):
        assert read_cues(DATA / "howto100m_caption.json") == TWO

    def test_youcook2(self):
        path = DATA / "youcookii_annotations_trainval.json"
        assert read_cues(path) == [Cue(20.0, 25.0, "spread butter on the bread")]


class TestCaptions:
    def test_bom_crlf_tags_and_missing_indexes(self):
        text = (
            "\ufeff00:00:01,000 --> 00:00:02,000\r\n<i>cut</i> the {\\an8}tomato\r\n\r\n"
            "7\r\n00:00:03.5 --> 00:00:04,25 X1:10 X2:20\r\nstir &amp; taste\r\nthe soup\r\n"
        )
        assert parse_cues(text) == [
            Cue(1.0, 2.0, "cut the tomato"),
            Cue(3.5, 4.25, "stir & taste the soup"),
        ]

    def test_no_empty_lines_between_cues(self):
        text = "1\n00:00:01,000 --> 00:00:02,000\ncut\n2\n00:00:03,000 --> 00:00:04,000\nstir 2\n"
        assert texts(parse_cues(text)) == ["cut", "stir 2"]

    def test_webvtt_parts_that_are_no_cues(self):
        text = (
            "WEBVTT - made by hand\n\nNOTE this --> is a note\n\nSTYLE\n::cue { color: red }\n\n"
            "intro\n00:01.000 --> 00:02.000 line:0 position:20%\n<v Ann>cut the tomato\n\n"
            "NOTE\nnothing here\n\n01:00:03.000 --> 01:00:04.000\nstir\n"
        )
        assert parse_cues(text) == [Cue(1.0, 2.0, "cut the tomato"), Cue(3603.0, 3604.0, "stir")]

    def test_unsorted_and_overlapping(self):
        text = (
            "1\n00:00:05,000 --> 00:00:09,000\nstir\n\n2\n00:00:01,000 --> 00:00:06,000\ncut\n\n"
            "3\n00:00:07,000 --> 00:00:06,000\npour\n"
        )
        assert parse_cues(text) == [
            Cue(1.0, 6.0, "cut"),
            Cue(5.0, 9.0, "stir"),
            Cue(7.0, 10.0, "pour"),  # its end lies before its start, and nothing follows
        ]

    def test_rolling_srt_without_word_times(self):
        text = "".join(
            f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{lines}\n\n"
            for n, lines in enumerate(
                ["now we cut", "now we cut\nthe tomato", "the tomato\nand stir", "and stir"]
            )
        )
        assert [(cue.start, cue.text) for cue in parse_cues(text)] == [
            (0.0, "now we cut"),
            (1.0, "the tomato"),
            (2.0, "and stir"),
        ]

    def test_growing_line(self):
        text = "".join(
            f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{line}\n\n"
            for n, line in enumerate(["cut", "cut the", "cut the tomato"])
        )
        # Only a file whose lines repeat is taken as rolling; here no line is shown twice.
        assert texts(parse_cues(text)) == ["cut", "cut the", "cut the tomato"]

    def test_a_line_said_twice_is_no_rolling_caption(self):
        text = (
            "1\n00:00:01,000 --> 00:00:02,000\nstir\n\n2\n00:00:05,000 --> 00:00:06,000\nstir\n\n"
            "3\n00:00:07,000 --> 00:00:08,000\npour\n"
        )
        assert texts(parse_cues(text)) == ["stir", "stir", "pour"]

    def test_utf16_and_windows_encodings(self, tmp_path):
        text = "1\n00:00:01,000 --> 00:00:02,000\ncouper la crème\n"
        for encoding in ("utf-16", "utf-32", "cp1252", "utf-8-sig"):
            path = tmp_path / f"{encoding}.srt"
            path.write_bytes(text.encode(encoding))
            assert texts(read_cues(path)) == ["couper la crème"]

    def test_ass(self, tmp_path):
        path = tmp_path / "a.ass"
        path.write_text(
            "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
            "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
            "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\i1}cut{\\i0} the\\Ntomato\n"
        )
        assert read_cues(path) == [Cue(1.0, 2.0, "cut the tomato")]


class TestTranscripts:
    def test_whisper(self):
        segments = [{"id": 0, "start": 1, "end": 2.5, "text": " cut it"}]
        assert parse_cues({"text": " cut it", "segments": segments}) == [Cue(1.0, 2.5, "cut it")]

    def test_whisper_cpp(self):
        item = {
            "timestamps": {"from": "00:00:01,000", "to": "00:00:02,500"},
            "offsets": {"from": 1000, "to": 2500},
            "text": " cut it",
        }
        assert parse_cues({"transcription": [item]}) == [Cue(1.0, 2.5, "cut it")]
        del item["offsets"]
        assert parse_cues({"transcription": [item]}) == [Cue(1.0, 2.5, "cut it")]

    def test_whisper_tsv(self, tmp_path):
        path = tmp_path / "a.tsv"
        path.write_text("start\tend\ttext\n1000\t2500\tcut it\n")
        assert read_cues(path) == [Cue(1.0, 2.5, "cut it")]

    def test_task_data(self):
        data = [
            {"start": 3, "end": 4, "text": "stir"},
            {"start": "0:01", "end": "2,5", "text": "cut"},
        ]
        assert parse_cues(data) == [Cue(1.0, 2.5, "cut"), Cue(3.0, 4.0, "stir")]
        assert parse_cues(json.dumps(data)) == parse_cues(data)

    def test_missing_ends(self):
        data = [{"start": 1, "text": "cut"}, {"start": 4, "text": "stir"}]
        assert parse_cues(data) == [Cue(1.0, 4.0, "cut"), Cue(4.0, 7.0, "stir")]
        assert parse_cues(data, duration=5)[1] == Cue(4.0, 5.0, "stir")

    def test_youcook_csv(self, tmp_path):
        path = tmp_path / "validation_youcook.csv"
        path.write_text("end,start,task,text,video_id\n5,2,113,cut,one\n9,6,113,stir,two\n")
        assert read_cues(path, video="two.mp4") == [Cue(6.0, 9.0, "stir")]
        with pytest.raises(InputError, match="about 2 videos"):
            read_cues(path)

    def test_many_videos(self):
        data = {
            "a": {"text": ["cut"], "start": [1], "end": [2]},
            "b": {"text": [], "start": [], "end": []},
        }
        assert parse_cues(json.dumps(data), video="/videos/a.mp4") == [Cue(1.0, 2.0, "cut")]
        with pytest.raises(InputError, match=r"2 videos \(a, b, …\), not 'c'"):
            parse_cues(json.dumps(data), video="c.webm")

    def test_plain_text_with_times(self):
        text = "0:01 cut the tomato\n[0:04] - stir\n1:02:03 serve"
        assert [(cue.start, cue.end, cue.text) for cue in parse_cues(text)] == [
            (1.0, 4.0, "cut the tomato"),
            (4.0, 3723.0, "stir"),
            (3723.0, 3726.0, "serve"),
        ]

    def test_plain_text_is_spread_over_the_video(self):
        assert parse_cues("cut the tomato\nstir", duration=10) == [
            Cue(0.0, 5.0, "cut the tomato"),
            Cue(5.0, 10.0, "stir"),
        ]
        with pytest.raises(InputError, match="without times"):
            parse_cues("cut the tomato\nstir")


class TestTimes:
    def test_places(self):
        cue = Cue(2.0, 6.0, "cut")
        assert [cue_time(cue, at) for at in ("start", "middle", "end")] == [2.0, 4.0, 6.0]
        assert cue_time(cue) == 4.0
        assert cue_time(cue, offset=-5) == 0.0

    def test_candidates_lie_inside(self):
        assert candidate_times(Cue(2.0, 6.0, "cut"), 4) == [2.5, 3.5, 4.5, 5.5]

    def test_best_of_candidates(self):
        asked = []

        def score(times, places):
            asked.append(list(zip(times, places, strict=True)))
            return [{1.0: 0.1, 2.0: 0.9, 3.0: 0.9, 1.5: 0.3, 2.5: 0.2}[time] for time in times]

        cues = [Cue(0.0, 4.0, "cut"), Cue(1.0, 3.0, "stir")]
        assert best_times(cues, [[1.0, 2.0, 3.0], [1.5, 2.5]], score) == [2.0, 1.5]
        assert asked == [[(1.0, 0), (1.5, 1), (2.0, 0), (2.5, 1), (3.0, 0)]]

    def test_shift(self):
        assert shift([Cue(1.0, 2.0, "cut")], -1.5) == [Cue(0.0, 0.5, "cut")]


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"a": 1}', "no known narration"),
            ('{"segments": [{"text": "x"}]}', "no start time"),
            ('{"segments": ["x"]}', "Cue 0 is str"),
            ('[{"start": 1}]', "no text"),
            ("[1, 2", "not valid JSON"),
            ("WEBVTT\n\n", "no cue with words"),
            ('{"text": ["a"], "start": [1, 2], "end": [1]}', "same length"),
            ("[" * 100_000, "nested too deeply"),
        ],
    )
    def test_say_what_is_wrong(self, text, said):
        with pytest.raises(InputError, match=said):
            parse_cues(text)

    def test_missing_file(self):
        with pytest.raises(InputError, match="There is no narration file"):
            read_cues(Path("nothing.srt"))

    def test_video_given_as_subtitles(self, tmp_path):
        (tmp_path / "a.srt").write_bytes(b"\0\0\0 ftypmp42" + bytes(range(128)) * 10)
        with pytest.raises(InputError, match="not a text file"):
            read_cues(tmp_path / "a.srt")

    def test_csv_without_columns(self, tmp_path):
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
        with pytest.raises(InputError, match="needs columns start, end and text, got a, b"):
            read_cues(tmp_path / "a.csv")


NUMBERS = st.one_of(st.floats(), st.integers(), st.none(), st.text(max_size=6), st.booleans())
WORDS = st.dictionaries(
    st.sampled_from(["word", "start", "end", "score"]), st.one_of(NUMBERS, st.text(max_size=5))
)
ITEMS = st.dictionaries(
    st.sampled_from(["start", "end", "text", "words", "segment", "duration", "offsets"]),
    st.one_of(NUMBERS, st.lists(WORDS, max_size=4), st.lists(NUMBERS, max_size=2)),
)
TIMING = st.sampled_from(
    ["00:00:01,000 --> 00:00:02,000", "00:01.5 --> 00:01.2 align:start", "1:2 --> 3", "-->"]
)
LINES = st.one_of(TIMING, st.just(""), st.just("WEBVTT"), st.text(max_size=20))


def check(cues):
    assert cues == sorted(cues, key=lambda cue: cue.start)
    for cue in cues:
        assert 0 <= cue.start <= cue.end < math.inf
        assert cue.text == " ".join(cue.text.split()) != ""
        edge = cue.start
        for word in cue.words:
            assert word.start is not None and word.end is not None
            assert cue.start <= word.start <= word.end
            edge = word.end
        assert edge < math.inf


class TestFuzz:
    """Any text or JSON gives sound cues or an InputError, never another exception."""

    @given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    def test_captions(self, lines, newline):
        with suppress(InputError):
            check(parse_cues(newline.join(lines) + "\n", "srt"))

    @settings(max_examples=40)
    @given(st.recursive(NUMBERS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    def test_any_json(self, data):
        with suppress(InputError):
            check(parse_cues(json.dumps(data), "json"))

    @given(st.lists(ITEMS, max_size=5))
    def test_items(self, items):
        for data in (items, {"segments": items}, {"database": {"a": {"annotations": items}}}):
            with suppress(InputError):
                check(parse_cues(data))

    @given(
        st.text(max_size=80), st.sampled_from(["srt", "vtt", "json", "csv", "plain", "ass", None])
    )
    def test_any_text(self, text, format):
        with suppress(InputError):
            check(parse_cues(text + "\n", format, duration=10))

    @given(
        st.lists(
            st.tuples(
                st.floats(-10, 100),
                st.one_of(st.just(math.nan), st.floats(-10, 100)),
                st.sampled_from(["cut", "stir", " ", "<i></i>", "pour <b>it</b>"]),
            ),
            max_size=8,
        )
    )
    def test_tidy_twice_changes_nothing(self, cues):
        once = tidy([Cue(*cue) for cue in cues])
        check(once)
        assert tidy(once) == once

    @given(st.lists(st.floats(0.5, 3), min_size=1, max_size=6), st.booleans())
    def test_rolling_captions_give_back_the_lines(self, lengths, timed):
        """Make captions roll the way YouTube does, and collapse them again."""
        blocks, truth, now, before = ["WEBVTT\n"], [], 0.0, " "
        for number, length in enumerate(lengths):
            line = f"line{number} is spoken"
            half = _stamp(now + length / 2)
            shown = f"line{number}<{half}><c> is</c><{half}><c> spoken</c>" if timed else line
            end = now + length
            blocks.append(f"{_stamp(now)} --> {_stamp(end)} align:start\n{before}\n{shown}\n")
            blocks.append(f"{_stamp(end)} --> {_stamp(end + 0.01)} align:start\n{line}\n \n")
            truth.append((now, line))
            now, before = end + 0.01, line
        cues = parse_cues("\n".join(blocks))
        assert texts(cues) == [line for _, line in truth]
        for cue, (start, _) in zip(cues, truth, strict=True):
            assert cue.start == pytest.approx(start, abs=2e-3)


def _stamp(time: float) -> str:
    return f"{int(time // 3600):02}:{int(time // 60) % 60:02}:{time % 60:06.3f}"
