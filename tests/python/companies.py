"""Companies that exist, written down twice by two systems as systems do: what candidate keys are measured on."""

import random
import unicodedata
from collections.abc import Iterator
from itertools import accumulate

from candidates import Record

ONSETS = ["b", "br", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kr", "l", "m", "n", "p", "r", "s", "sch", "t", "tr", "v", "w", "z"]
VOWELS = "aeioaeiouäöüé"
CODAS = ["", "", "", "n", "r", "l", "s", "ck", "rt", "nd", "lm", "tz"]
TRADES = [
    "Consulting", "Bau", "Systems", "Services", "Logistik", "Software", "Immobilien", "Handel", "Media", "Energy", "Technik", "Design",
    "Solutions", "Bäckerei", "Transport", "Partners", "Capital", "Foods", "Marketing", "Elektro", "Pharma", "Studio", "Metall", "Reisen",
    "Gastro", "Digital", "Health", "Events", "Print", "Security",
]  # fmt: skip
FORMS = ["GmbH", "GmbH", "GmbH", "AG", "KG", "Ltd", "Inc.", "LLC", "S.A.", "B.V.", "", "", ""]
PLACES = ["Nord", "Süd", "Ost", "West", "Berlin", "Hamburg", "München", "Wien", "Zürich", "Köln", "Bremen", "Leipzig", "Graz", "Ulm"]


def world(count: int, seed: int) -> tuple[list[Record], set[tuple[str, str]]]:
    """`count` records a side, and which left and right keys are one company: half of them are, the others stand on one side alone.

    A tenth of the names are common words and no more, some companies have the same name, and one in twenty has branches, which differ
    in the place alone. Of the companies on both sides 30 % share an e-mail; one address in fifty is an agency's, and several may have it.
    """
    chance = random.Random(seed)
    records, truth = [], set()
    for number, name in enumerate(names(count * 3 // 2, chance)):
        on_both = number < count // 2
        on_left = on_both or number % 2
        address = f"{chance.randrange(count)}@agency.example" if chance.random() < 0.02 else f"c{number}@example.org"
        left = Record("left", f"L-{number:07}", name, address if chance.random() < 0.6 else None)
        right_email = address if left.email and chance.random() < 0.5 else None
        right = Record("right", f"R-{number:07}", rewritten(name, chance) if on_both else name, right_email and right_email.upper())
        records += [left] * bool(on_left) + [right] * bool(on_both or not on_left)
        if on_both:
            truth.add((left.record_key, right.record_key))
    chance.shuffle(records)
    return records, truth


def names(count: int, chance: random.Random) -> Iterator[str]:
    """Half of the names are a family's as skewed as in life, the first in one of a hundred; the others are made up, once each."""
    coined = list(dict.fromkeys(word(chance) for _ in range(count)))
    families, inventions = coined[: len(coined) // 4], iter(coined[len(coined) // 4 :])
    of_families = list(accumulate(1 / (rank + 10) for rank in range(len(families))))
    of_trades = [1 / (rank + 1) for rank in range(len(TRADES))]
    made = 0
    while made < count:
        trades = dict.fromkeys(chance.choices(TRADES, of_trades, k=chance.choice([0, 1, 1, 2])))
        if chance.random() < 0.1:
            said = dict.fromkeys(chance.choices(TRADES, of_trades, k=2))
        elif chance.random() < 0.5:
            said = (chance.choices(families, cum_weights=of_families)[0], *trades)
        else:
            said = (next(inventions), *trades)
        form = chance.choice(FORMS)
        for place in chance.sample(PLACES, k=chance.randint(2, 4)) if chance.random() < 0.05 else [""]:
            yield " ".join(word for word in (*said, place, form) if word)
            made += 1


def word(chance: random.Random) -> str:
    syllables = [(ONSETS, VOWELS, CODAS)] * chance.choice([2, 2, 3, 3, 4])
    return "".join(chance.choice(letters) for syllable in syllables for letters in syllable).capitalize()


def rewritten(name: str, chance: random.Random) -> str:
    """The same name as another system has it."""
    words = name.split()
    if words[-1] in FORMS and chance.random() < 0.5:
        words = words[:-1] + ([chance.choice(FORMS)] if chance.random() < 0.3 else [])
    if chance.random() < 0.15:
        chance.shuffle(words)
    name = " ".join(words)
    if chance.random() < 0.2:
        name = misspelt(name, chance)
    if chance.random() < 0.3:
        name = "".join(letter for letter in unicodedata.normalize("NFD", name) if not unicodedata.combining(letter))
    elif chance.random() < 0.2:
        name = name.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    return name.upper() if chance.random() < 0.2 else name


def misspelt(name: str, chance: random.Random) -> str:
    at = chance.randrange(len(name) - 1)
    return chance.choice(
        [
            name[:at] + name[at + 1 :],
            name[:at] + chance.choice("aeinrst") + name[at:],
            name[:at] + name[at + 1] + name[at] + name[at + 2 :],
        ]
    )
