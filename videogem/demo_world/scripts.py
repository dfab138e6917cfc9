"""Who does what in each demo clip, and what the narrator says. All pairs are unseen in training."""

from dataclasses import dataclass
from typing import Literal

Gender = Literal["woman", "man", "any"]


@dataclass(frozen=True)
class Role:
    """An actor: verb in its base form, object, and the gender the narration speaks of."""

    verb: str
    object: str
    gender: Gender = "any"


@dataclass(frozen=True)
class Script:
    """One clip. ``lines`` are (role, sentence) in the order they are spoken."""

    name: str
    size_wh: tuple[int, int]
    duration: float
    pan: float  # how far the camera goes, in frame heights
    roles: tuple[Role, ...]
    lines: tuple[tuple[int, str], ...]


SCRIPTS = (
    Script(
        "kitchen",
        (640, 480),
        7.0,
        0.25,
        (
            Role("cook", "dumpling", "woman"),
            Role("cut", "baguette bread", "man"),
            Role("wash", "watermelon"),
        ),
        (
            (0, "Now you cook the dumplings."),
            (2, "Then wash the watermelon."),
            (1, "He is cutting the baguette bread."),
            (0, "She cooks another dumpling."),
        ),
    ),
    Script(
        "bakery",
        (854, 480),
        6.0,
        0.3,
        (
            Role("cut", "doughnut", "woman"),
            Role("judge", "honey pot", "man"),
            Role("steal", "pizza"),
        ),
        (
            (1, "He is judging the honey pot."),
            (0, "She cuts the doughnut."),
            (2, "And someone steals the pizza."),
        ),
    ),
    Script(
        "garden",
        (960, 540),
        8.0,
        0.4,
        (
            Role("harvest", "tulip", "woman"),
            Role("inspect", "tomato", "man"),
            Role("feed", "hamster", "woman"),
        ),
        (
            (0, "First we harvest the tulips."),
            (2, "She is feeding a hamster."),
            (1, "Now he inspects the tomatoes."),
            (0, "Harvest one more tulip."),
        ),
    ),
    Script(
        "garage",
        (1280, 720),
        6.0,
        0.2,
        (
            Role("repair", "police car", "man"),
            Role("weld", "door", "woman"),
            Role("wash", "taxi"),
        ),
        (
            (1, "She is welding the door."),
            (0, "He repairs the police car."),
            (2, "Next you wash the taxi."),
        ),
    ),
    Script(
        "band",
        (800, 600),
        7.0,
        0.15,
        (
            Role("paint", "guitar", "woman"),
            Role("worship", "violin", "man"),
            Role("dance with", "trumpet", "any"),
        ),
        (
            (0, "Now you paint the guitar."),
            (1, "He is worshipping the violin."),
            (2, "Then dance with the trumpet."),
        ),
    ),
    Script(
        "farm",
        (720, 540),
        7.0,
        0.3,
        (
            Role("feed", "horse", "man"),
            Role("chase", "dog", "woman"),
            Role("catch", "rabbit", "man"),
        ),
        (
            (0, "He feeds the horse."),
            (1, "She is chasing the dog."),
            (2, "Someone is catching a rabbit here."),
            (0, "Okay, now feed the horse again."),
        ),
    ),
    Script(
        "skatepark",
        (480, 640),
        6.0,
        0.15,
        (Role("ride", "skateboard", "woman"), Role("climb", "metro", "man")),
        (
            (0, "She rides the skateboard."),
            (1, "He is climbing the metro."),
            (0, "Now you ride the skateboard."),
        ),
    ),
    Script(
        "laboratory",
        (1024, 576),
        8.0,
        0.35,
        (
            Role("examine", "microbe", "woman"),
            Role("program", "microscope", "man"),
            Role("heal", "penguin", "woman"),
        ),
        (
            (0, "We examine the microbe carefully."),
            (1, "He is programming the microscope."),
            (2, "She heals the penguin."),
            (0, "She is examining a microbe."),
        ),
    ),
    Script(
        "sports",
        (720, 720),
        7.0,
        0.2,
        (
            Role("throw", "kite", "man"),
            Role("catch", "volleyball", "woman"),
            Role("lift", "banjo", "man"),
        ),
        (
            (0, "He throws the kite."),
            (1, "She is catching the volleyball."),
            (2, "Now lift the banjo."),
        ),
    ),
    Script(
        "zoo",
        (640, 360),
        8.0,
        0.4,
        (
            Role("greet", "penguin", "woman"),
            Role("explain", "elephant", "man"),
            Role("guard", "tiger", "man"),
        ),
        (
            (0, "She greets the penguin."),
            (1, "He is explaining the elephant."),
            (2, "Someone is guarding the tiger here."),
            (0, "Now you greet the penguins."),
        ),
    ),
    Script(
        "workshop",
        (540, 960),
        6.0,
        0.1,
        (Role("build", "skateboard", "man"), Role("paint", "teapot", "woman")),
        (
            (0, "He is building a skateboard."),
            (1, "She paints the teapot."),
            (0, "Now you build the skateboard."),
        ),
    ),
    Script(
        "library",
        (768, 432),
        7.0,
        0.3,
        (
            Role("study", "avocado", "woman"),
            Role("contemplate", "scroll", "man"),
            Role("enchant", "laptop", "woman"),
        ),
        (
            (0, "She is studying an avocado."),
            (1, "He contemplates the scroll."),
            (2, "And now you enchant the laptop."),
        ),
    ),
)
