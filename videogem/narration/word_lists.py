"""English words by what they do in an instruction, as far as a tagger does not tell."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


FILLER = _set(
    "go want need have let like start begin keep try continue finish show make get know think say "
    "tell see hope guess mean remember forget suppose proceed"
)
AGENTS = _set(
    "man men woman women boy boys girl girls person persons people chef cook child children kid "
    "kids lady ladies guy guys player players someone somebody everyone anyone one mother father "
    "dad mom mum baby worker workers student teacher actor actors friend friends couple "
    "grandmother grandfather narrator host hostess dog cat"
)
ALSO_VERBS = _set("cook host")  # at the start of what is said
MEASURES = _set(
    "bit bits pinch piece pieces lot lots couple kind sort type bunch handful tablespoon "
    "tablespoons teaspoon teaspoons gram grams kilo pound pounds ounce ounces half rest dash "
    "splash drop drops touch amount pair kilos kilogram kilograms liter liters litre litres "
    "milliliter milliliters ml kg mg quart quarts pint pints cupful spoonful spoonfuls inch inches"
)
# Containers that measure where they are counted ('two cups of flour'), and are things where not.
CONTAINERS = _set("cup cups glass glasses can cans spoon spoons bottle bottles scoop scoops")
SUBJECT_STARTS = _set("i you he she it we they there this that these those who")
DETERMINERS = _set(
    "the a an some any another my your his her its our their this that these those it them him "
    "each every both all"
)
BE = _set("is are was were be been being am 's 're has had have will can should may")
NUMBERS = _set("one two three four five six seven eight nine ten")
PREPOSITIONS = _set(
    "in on into onto to from with over at under around inside through between against off by "
    "behind beside across along using"
)
NO_THINGS = _set(
    "well it them him her me us again now then here there and or until till for of more less very "
    "half together slow fast first finely what how that if when while"
)
NO_GERUNDS = _set("bring string spring ring king thing wing swing sling fling")
NO_OBJECTS = _set(
    "minute second hour moment time while way today bit lot step thing something anything nothing "
    "everything degree degrees celsius fahrenheit"
)
PARTICLES = _set("up down off out away on in over aside back apart together around")
# Verb and particle that mean one thing, for where the tagger takes the particle as a preposition.
PHRASAL = {
    verb: frozenset(particles.split())
    for verb, particles in (
        line.split(": ")
        for line in """
add: in
blow: out up
break: up apart off down
bring: out
chop: up off
clean: up out off
close: up
cool: down off
cover: up
crack: open
cut: off out up down open
dig: up out
dish: out up
drain: off
dry: off
fill: up in
flip: over
fold: up in over
hang: up
heat: up
hold: up
ladle: out
lay: down out
lift: up
line: up
mix: in together
mop: up
open: up
peel: off away
pick: up out
plug: in
pour: out in off
pull: out off apart up
pump: up
push: in down
put: on down away back in aside
rinse: off out
roll: out up
saw: off
scoop: out up
scrape: off out
screw: in on off
set: aside down up
sit: down
slice: up off
snap: off
spread: out
squeeze: out
stand: up
stir: in
strain: out
sweep: up
switch: on off
take: off out away apart down
tear: off up
throw: away out
tie: up
tighten: up
trim: off
turn: on off up down over around
warm: up
wash: off out up
wipe: down off up away
wrap: up
write: down
zip: up
""".strip().splitlines()
    )
}
