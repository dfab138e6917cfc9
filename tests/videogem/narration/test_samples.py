"""Subtitles and transcripts as programs write them: each form with a sample, none taken apart."""

import contextlib
import json
import time
from pathlib import Path

import pytest

from videogem.errors import InputError
from videogem.narration.decoding import decode
from videogem.narration.reading import parse_cues, read_cues

DATA = Path(__file__).parents[2] / "data" / "narration" / "captions"
DURATION = 7.0
FIRST = (0.12, 1.63, "Now you cook the dumplings.")
SECOND = (1.87, 3.38, "Then wash the watermelon.")
THIRD = (3.62, 5.13, "He is cutting the baguette bread.")
FOURTH = (5.37, 6.88, "She cooks another dumpling.")
WHOLE = [(0.0, 2.0, FIRST[2]), (2.0, 4.0, SECOND[2]), (4.0, 6.0, THIRD[2])]
STARTS = [*WHOLE[:2], (4.0, 7.0, THIRD[2])]  # the last cue has no end


def values(cues):
    return [(round(cue.start, 6), round(cue.end, 6), cue.text) for cue in cues]


FILES = {
    "drawing.ass": [FIRST, SECOND],
    "legacy.dfxp": [FIRST],
    "otter.txt": STARTS,
    "range_dash.txt": WHOLE,
    "sbv.sbv": [FIRST, SECOND, THIRD],
    "seconds.tsv": [FIRST, SECOND],
    "spaced.csv": [FIRST, SECOND],
    "speaker.vtt": [FIRST, SECOND, THIRD, FOURTH],
    "srv3.srv3": [FIRST, SECOND],
    "ticks.ttml": [FIRST, SECOND],
    "timecode.txt": [(0.12, 1.6, FIRST[2]), (1.84, 3.36, SECOND[2])],
    "whisper_stdout.txt": [FIRST, SECOND, THIRD],
    "whispercpp.csv": [FIRST, SECOND, THIRD],
    "wrapped.txt": STARTS,
    "ytpanel.txt": STARTS,
    "highlight6s.srt": [
        (0.0, 6.0, "Now you take the big knife and cut the watermelon in half."),
    ],
}


@pytest.mark.parametrize("name", FILES)
def test_files(name):
    assert values(read_cues(DATA / name, video="kitchen.mp4", duration=DURATION)) == FILES[name]


@pytest.mark.parametrize("name", FILES)
def test_the_same_text_pasted_or_under_another_name(name, tmp_path):
    text = (DATA / name).read_text(encoding="utf-8")
    assert values(parse_cues(text, duration=DURATION)) == FILES[name]
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert values(read_cues(tmp_path / "a.txt", duration=DURATION)) == FILES[name]


TT = '<tt xmlns="http://www.w3.org/ns/ttml" xmlns:p="http://www.w3.org/ns/ttml#parameter" {}>'
CUT, STIR = (1.5, 3.0, "cut the tomato"), (3.5, 5.0, "stir the soup")
TWO = [CUT, STIR]
TEXTS = {
    "lrc": "[ti:Cooking]\n[ar:Ann]\n[00:01.50]cut the tomato\n[00:03.00]\n[00:03.50]stir the soup\n"
    "[00:05.00]",
    "lrc with words": "[00:01.50]<00:01.50>cut <00:02.00>the <00:02.50>tomato\n[00:03.00]\n"
    "[00:03.50]stir the soup\n[00:05.00]\n",
    "lrc with offset": "[offset:+500]\n[00:02.00]cut the tomato\n[00:03.50]\n[00:04.00]stir the "
    "soup\n[00:05.50]",
    "ttml frames": TT.format('p:frameRate="30"') + "<body><div>"
    '<p begin="00:00:01:15" end="00:00:03:00">cut<br/>the tomato</p>'
    '<p begin="105f" end="150f">stir the soup</p></div></body></tt>',
    "ttml offsets": TT.format("") + '<body begin="1s"><div><p begin="500ms" dur="1500ms"><span>cut '
    '</span>the tomato</p><p begin="2.5s" end="4s">stir the soup</p></div></body></tt>',
    "ttml minutes": "<tt><body><div><p begin='0.025m' end='0.05m'>cut the tomato</p>"
    "<p begin='0h' end='1s'/><p begin='3.5s' end='5s'>stir the soup</p></div></body></tt>",
    "ttml spans": TT.format("") + '<body><div><p><span begin="1.5s" end="3s">cut the tomato</span>'
    '<br/><span begin="3.5s" end="5s">stir the soup</span></p></div></body></tt>',
    "ttml prefixed": '<tt:tt xmlns:tt="http://www.w3.org/2006/10/ttaf1"><tt:body><tt:div>'
    '<tt:p begin="00:00:01.500" end="00:00:03.000">cut the tomato</tt:p>'
    '<tt:p begin="00:00:03.500" end="00:00:05.000">stir the soup</tt:p></tt:div></tt:body></tt:tt>',
    "srv1": '<?xml version="1.0"?><transcript><text start="1.5" dur="1.5">cut the tomato</text>'
    '<text start="3.5" dur="1.5">stir the soup</text></transcript>',
    "srv1 escaped": '<transcript><text start="1.5" dur="1.5">cut the&amp;nbsp;tomato</text>'
    '<text start="3.5" dur="1.5">stir the soup</text></transcript>',
    "srv2": '<timedtext><text t="1500" d="1500">cut the tomato</text>'
    '<text t="3500" d="1500">stir the soup</text></timedtext>',
    "json3": json.dumps(
        {
            "wireMagic": "pb3",
            "events": [
                {"tStartMs": 0, "dDurationMs": 7000, "id": 1, "wpWinPosId": 1},
                {
                    "tStartMs": 1500,
                    "dDurationMs": 1500,
                    "segs": [{"utf8": "cut"}, {"utf8": " the tomato", "tOffsetMs": 300}],
                },
                {"tStartMs": 3000, "dDurationMs": 10, "aAppend": 1, "segs": [{"utf8": "\n"}]},
                {"tStartMs": 3500, "dDurationMs": 1500, "segs": [{"utf8": "stir the soup"}]},
            ],
        }
    ),
    "zoom": "WEBVTT\n\n1\n00:00:01.500 --> 00:00:03.000\nAnn Lee: cut the tomato\n\n2\n"
    "00:00:03.500 --> 00:00:05.000\nBob Ray: stir the soup\n",
    "teams": "WEBVTT\n\n4c1a/12-0\n00:00:01.500 --> 00:00:03.000\n<v Ann Lee>cut the tomato</v>\n\n"
    "4c1a/14-0\n00:00:03.500 --> 00:00:05.000\n<v Bob Ray>stir\nthe soup</v>\n",
    "whisper.cpp console": "[00:00:01.500 --> 00:00:03.000]   cut the tomato\n"
    "[00:00:03.500 --> 00:00:05.000]   stir the soup\n",
    "ranges": "0:01.5 \u2013 0:03.0: cut the tomato\n0:03.5 \u2013 0:05.0: stir the soup\n",
    "ranges above": "0:01.5 - 0:03.0\ncut the tomato\n\n0:03.5 - 0:05.0\nstir the soup\n",
    "ranges in seconds": "[1.5s -> 3.0s] cut the tomato\n[3.5s -> 5.0s] stir the soup\n",
    "audacity": "1.500000\t3.000000\tcut the tomato\n\\\t100.0\t2000.0\n"
    "3.500000\t5.000000\tstir the soup\n",
    "elan": '<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT><TIME_ORDER>'
    '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/><TIME_SLOT TIME_SLOT_ID="ts2" '
    'TIME_VALUE="3000"/><TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="3500"/><TIME_SLOT '
    'TIME_SLOT_ID="ts4" TIME_VALUE="5000"/></TIME_ORDER><TIER TIER_ID="a"><ANNOTATION>'
    '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">'
    "<ANNOTATION_VALUE>cut the tomato</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    '<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" '
    'TIME_SLOT_REF2="ts4"><ANNOTATION_VALUE>stir the soup</ANNOTATION_VALUE>'
    "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>",
    "elan table": "Ann\t\t00:00:01.500\t00:00:03.000\t00:00:01.500\tcut the tomato\n"
    "Ann\t\t00:00:03.500\t00:00:05.000\t00:00:01.500\tstir the soup\n",
    "csv with semicolons": "Start;End;Text\n1,5;3,0;cut the tomato\n3,5;5,0;stir the soup\n",
    "csv in capitals": 'START, END ,"TEXT"\n1.5,3.0,"cut the tomato"\n3.5,5.0,"stir the soup"\n',
    "csv without header": "1.5,3.0,cut the tomato\n3.5,5.0,stir the soup\n",
    "csv of clocks": "Start Time,End Time,Caption\n00:00:01.500,00:00:03.000,cut the tomato\n"
    "00:00:03.500,00:00:05.000,stir the soup\n",
    "tsv of whisper.cpp": "start\tend\ttext\n"
    "1500\t3000\tcut the tomato\n3500\t5000\tstir the soup\n",
    "sami": "<SAMI><HEAD><STYLE TYPE='text/css'><!-- P {a:b} --></STYLE></HEAD><BODY>\n"
    "<SYNC Start=1500><P Class=ENCC>cut<br>the tomato\n<SYNC Start=3000><P Class=ENCC>&nbsp;\n"
    "<SYNC Start=3500><P Class=ENCC>stir the soup</P></SYNC>\n<SYNC Start=5000><P>&nbsp;\n"
    "</BODY></SAMI>",
    "assemblyai": json.dumps(
        {
            "id": "x",
            "text": "cut the tomato stir the soup",
            "words": [{"text": "cut", "start": 1500, "end": 1700}],
            "utterances": [
                {"speaker": "A", "text": "cut the tomato", "start": 1500, "end": 3000},
                {"speaker": "B", "text": "stir the soup", "start": 3500, "end": 5000},
            ],
        }
    ),
    "assemblyai words": json.dumps(
        {
            "text": "cut the tomato. stir the soup.",
            "words": [
                {"text": "cut", "start": 1500, "end": 2000},
                {"text": "the tomato", "start": 2000, "end": 3000},
                {"text": "stir", "start": 3900, "end": 4000},
            ],
        }
    ),
    "deepgram": json.dumps(
        {
            "metadata": {},
            "results": {
                "utterances": [
                    {"start": 1.5, "end": 3.0, "transcript": "cut the tomato", "words": []},
                    {"start": 3.5, "end": 5.0, "transcript": "stir the soup", "words": []},
                ]
            },
        }
    ),
    "deepgram words": json.dumps(
        {
            "results": {
                "channels": [
                    {
                        "alternatives": [
                            {
                                "transcript": "cut stir",
                                "words": [
                                    {"word": "cut", "start": 1.5, "end": 3.0},
                                    {"word": "stir", "start": 3.9, "end": 5.0},
                                ],
                            }
                        ]
                    }
                ]
            }
        }
    ),
    "azure": json.dumps(
        {
            "source": "a.wav",
            "recognizedPhrases": [
                {
                    "offset": "PT1.5S",
                    "offsetInTicks": 15000000.0,
                    "durationInTicks": 15000000.0,
                    "nBest": [{"display": "cut the tomato", "lexical": "cut the tomato"}],
                },
                {
                    "offsetInTicks": 35000000.0,
                    "durationInTicks": 15000000.0,
                    "nBest": [{"display": "stir the soup"}],
                },
            ],
        }
    ),
    "azure fast": json.dumps(
        {
            "durationMilliseconds": 7000,
            "phrases": [
                {
                    "offsetMilliseconds": 1500,
                    "durationMilliseconds": 1500,
                    "text": "cut the tomato",
                },
                {"offsetMilliseconds": 3500, "durationMilliseconds": 1500, "text": "stir the soup"},
            ],
        }
    ),
    "vosk": '{"result": [{"conf": 1.0, "end": 3.0, "start": 1.5, "word": "cut"}], "text": "cut"}\n'
    '{"text": ""}\n'
    '{"result": [{"conf": 1.0, "end": 5.0, "start": 3.5, "word": "stir"}], "text": "stir"}\n',
    "openai": json.dumps(
        {
            "task": "transcribe",
            "duration": 7.0,
            "text": "x",
            "segments": [
                {"id": 0, "seek": 0, "start": 1.5, "end": 3.0, "text": " cut the tomato"},
                {"id": 1, "seek": 0, "start": 3.5, "end": 5.0, "text": " stir the soup"},
            ],
        }
    ),
    "highlighted vtt": "WEBVTT\n\n00:01.500 --> 00:02.000\n<c.now>cut</c> the tomato\n\n"
    "00:02.000 --> 00:03.000\ncut <c.now>the</c> tomato\n\n"
    "00:03.500 --> 00:05.000\nstir the soup\n",
}
SPECIAL = {
    "assemblyai words": [(1.5, 3.0, "cut the tomato"), (3.9, 4.0, "stir")],
    "deepgram words": [(1.5, 3.0, "cut"), (3.9, 5.0, "stir")],
    "vosk": [(1.5, 3.0, "cut"), (3.5, 5.0, "stir")],
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name):
    found = values(parse_cues(TEXTS[name], duration=DURATION))
    assert found == SPECIAL.get(name, TWO)


@pytest.mark.parametrize(
    "text",
    [
        "[Ann Lee] 00:00:02\ncut the tomato\n\n[Bob] 00:00:04\nstir the soup\n",
        "Ann Lee   0:02\ncut the tomato\n\nBob Ray   0:04\nstir the soup\n",
        "Ann Lee (00:02)\ncut the tomato\n\nBob (00:04)\nstir the soup\n",
        "0:02\n2 seconds\ncut the tomato\n0:04\n4 seconds\nstir the soup\n",
        "0:02 cut the tomato\n0:04 stir the soup",
        "(0:02) cut the tomato\n(0:04) stir the soup",
    ],
)
def test_texts_with_starts_alone(text):
    found = values(parse_cues(text, duration=DURATION))
    assert found == [(2.0, 4.0, "cut the tomato"), (4.0, 7.0, "stir the soup")]


SPELLINGS = [
    json.loads(line)
    for line in (DATA.parent / "spellings.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("sample", SPELLINGS, ids=[sample["form"] for sample in SPELLINGS])
def test_odd_spellings(sample):
    """Each form as some program or person writes it beside the usual way."""
    found = parse_cues(sample["text"], video="kitchen.mp4", duration=DURATION)
    rounded = [[round(cue.start, 4), round(cue.end, 4), cue.text] for cue in found]
    assert rounded == sample["cues"]


@pytest.mark.parametrize(
    "text",
    [
        "cut the tomato 0:01\nstir the soup 0:03",
        "cut --> stir at 0:03",
        "10:30 am we cook\nand stir",
        "Start: 1.5 cut the tomato\nStart: 3.5 stir the soup",
        "cut the tomato at 0:02 of it\nstir the soup",
        "Chapter one 00:01 --> ends\ncut the tomato",
        "we said it at 12:30 exactly",
    ],
)
def test_what_looks_like_times_is_refused_with_its_line(text):
    with pytest.raises(InputError, match="looks as if it gave a time") as caught:
        parse_cues(text, duration=DURATION)
    assert next(line for line in text.splitlines() if ":" in line) in str(caught.value)
    assert parse_cues(text, "text", duration=DURATION)  # where it is part of what is said


@pytest.mark.parametrize(
    "text",
    ["Cook the rice.\nStir the soup.\n12:30 lunch", "First cut.\nThen stir.\n[0:05] done"],
)
def test_words_before_the_first_time_are_not_lost_in_silence(text):
    with pytest.raises(InputError, match="stands before the first time"):
        parse_cues(text, duration=DURATION)
    assert len(parse_cues(text, "text", duration=DURATION)) == 3


def test_long_lines_are_read_in_time():
    """No pattern runs away on what nobody writes."""
    hostile = ["a ", "Ab ", "1:", "[0:01]", "-- ", "x:  ", "0:01 - ", "1m1", "(0:01", "{1}{2}"]
    for piece in hostile:
        text = f"{piece * 3_000}\nstir the soup"
        started = time.process_time()
        with contextlib.suppress(InputError):
            parse_cues(text, duration=DURATION)
        assert time.process_time() - started < 5  # patterns that backtrack take minutes


def test_milliseconds_or_seconds_are_told_by_the_numbers_and_the_video():
    table = "start,end,text\n{},{},cut\n{},{},stir\n"
    milliseconds = table.format(1500, 3000, 3500, 5000)
    assert [cue.start for cue in parse_cues(milliseconds)] == [1.5, 3.5]
    assert [cue.start for cue in parse_cues(milliseconds, duration=7)] == [1.5, 3.5]
    # In a lecture of two hours the same numbers are minutes apart.
    assert [cue.start for cue in parse_cues(milliseconds, duration=7200)] == [1500, 3500]
    seconds = table.format(2, 3, 4, 5)
    assert [cue.start for cue in parse_cues(seconds, duration=7)] == [2, 4]
    assert [cue.start for cue in parse_cues(seconds, duration=3)] == [2, 4]


LINES = {
    "ru": ("Теперь нарежьте помидор.", "Затем вымойте арбуз."),
    "zh": ("现在切西红柿。", "然后把西瓜洗干净。"),
    "ja": ("トマトを切ります。", "スイカを洗います。"),
    "fr": ("Coupez la crème brûlée.", "Lavez la pastèque."),
    "pl": ("Teraz pokrój żółtą paprykę.", "Umyj proszę źdźbło."),
}


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("ru", "cp1251"), ("ru", "koi8-r"), ("ru", "utf-16"), ("ru", "utf-16-le"), ("zh", "gbk"),
        ("zh", "utf-16-be"), ("zh", "gb18030"), ("ja", "shift-jis"), ("ja", "euc-jp"),
        ("fr", "cp1252"), ("pl", "cp1250"), ("zh", "utf-8"),
    ],
)  # fmt: skip
def test_encodings(language, encoding, tmp_path):
    text = "".join(
        f"{number}\r\n00:00:0{number},000 --> 00:00:0{number + 1},000\r\n{line}\r\n\r\n"
        for number, line in enumerate(LINES[language], 1)
    )
    path = tmp_path / "a.srt"
    path.write_bytes(text.encode(encoding))
    assert [cue.text for cue in read_cues(path)] == list(LINES[language])


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(InputError, match="not a text file"):
        decode(bytes(range(256)) * 20, "a.srt")


def test_unknown_and_broken_xml_is_told():
    with pytest.raises(InputError, match="unknown kind"):
        parse_cues("<?xml version='1.0'?><html><p>cut</p></html>")
    with pytest.raises(InputError, match="not well-formed"):
        parse_cues("<tt><body>", suffix=".ttml")
    with pytest.raises(InputError, match="no clock and no number"):
        parse_cues("<tt><body><p begin='soon'>cut</p></body></tt>")
