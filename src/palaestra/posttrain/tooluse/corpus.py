"""Documents in which facts are planted, so that what a question needs is known: made up, or a folder of texts.

A chain of facts is product -> company -> founder -> town -> river -> length; each fact is one sentence, in a document
of its own, of names that occur nowhere else. Sentences that name the same things and say nothing of use are planted
too. A folder's texts are cut at paragraphs into passages, which keep all they say. Not here: questions (`research.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from palaestra.errors import InputError
from palaestra.store.records import read_rows, write_lines

RELATIONS = ("company", "founder", "town", "river", "length")
_SENTENCES = (
    "The {0} is made by the company {1}.",
    "The company {0} was founded by {1}.",
    "{0} was born in the town of {1}.",
    "The town of {0} lies on the river {1}.",
    "The river {0} has a length of {1} km.",
)
_ASIDES = (
    "Nobody knows why the {0} sells so well.",
    "The offices of {0} were painted last spring.",
    "{0} collects stamps and old maps.",
    "Every year {0} holds a market for fruit.",
    "Boats on the {0} need a permit.",
)
_FIRST = ("ba", "ce", "do", "fi", "gu", "ha", "jo", "ke", "lu", "mi", "na", "po", "ri", "so", "tu", "va", "we", "zo")
_LAST = ("lan", "ber", "dor", "fen", "gar", "kis", "mor", "nel", "pir", "ras", "sil", "tan", "vik", "zon")
_FILLER = (
    "The meeting was moved to the large hall.", "Rain is expected in the north this week.", "The library is open late.",
    "Prices of wheat have hardly changed.", "A new bridge is planned for next year.", "The choir sang two old songs.",
    "Visitors are asked to use the side door.", "The exhibition closes at the end of the month.",
    "Trains were late because of work on the line.", "The council has put off its decision.",
    "Volunteers planted forty trees.", "The old mill is being repaired.", "Tickets can be bought at the counter.",
    "The report was read by all members.", "A lecture on bees is given on Friday.",
)  # fmt: skip
_PASSAGE = 2000


@dataclass(frozen=True, slots=True)
class Document:
    """A text with a name to cite it by."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Six names, each the value of a fact about the one before; and the documents of the five facts."""

    names: tuple[str, ...]
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents, and the chains of facts in them."""

    documents: tuple[Document, ...]
    chains: tuple[Chain, ...]


def read_corpus(folder: str | Path) -> tuple[Document, ...]:
    """The passages of all .txt and .md files below a folder.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    found: list[Document] = []
    root = Path(folder)
    for file in sorted(each for each in root.rglob("*") if each.suffix in {".txt", ".md"} and each.is_file()):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {file}: {error}; expected text in UTF-8") from error
        name = str(file.relative_to(root)).replace("[", "(").replace("]", ")")
        found += [Document(f"{name}#{number}", part) for number, part in enumerate(_passages(text), start=1)]
    if not found:
        raise InputError(f"found no .txt or .md file with a text below {root}, expected the texts of a corpus")
    return tuple(found)


def made_up(count: int, seed: int) -> tuple[Document, ...]:
    """So many documents that say nothing of use."""
    rng = Random(f"{seed} documents")  # noqa: S311 - chance, no secret
    return tuple(
        Document(f"doc-{number:03}", " ".join(rng.sample(_FILLER, rng.randint(4, 9)))) for number in range(1, count + 1)
    )


def plant(documents: Sequence[Document], chains: int, seed: int) -> Corpus:
    """Plant chains of facts, each fact of a chain in another document.

    Raises:
        InputError: there are fewer documents than facts in a chain.
    """
    if len(documents) < len(RELATIONS):
        raise InputError(f"found {len(documents)} documents, expected at least {len(RELATIONS)}, one for each fact")
    rng = Random(f"{seed} facts")  # noqa: S311 - the same
    taken = {word for document in documents for word in document.text.casefold().split()}
    texts = {document.name: document.text for document in documents}
    planted = []
    for _ in range(chains):
        names = (*(_name(rng, taken) for _ in RELATIONS), str(rng.randint(101, 1999)))
        places = rng.sample([document.name for document in documents], len(RELATIONS))
        for number, place in enumerate(places):
            texts[place] = _inserted(rng, texts[place], _SENTENCES[number].format(names[number], names[number + 1]))
            aside = rng.choice(documents).name
            texts[aside] = _inserted(rng, texts[aside], _ASIDES[number].format(names[number]))
        planted.append(Chain(names, tuple(places)))
    return Corpus(tuple(Document(document.name, texts[document.name]) for document in documents), tuple(planted))


def write_corpus(path: Path, corpus: Corpus) -> None:
    """Write documents and chains as JSON lines.

    Raises:
        InputError: the path cannot be written.
    """
    write_lines(path, [*map(asdict, corpus.documents), *map(asdict, corpus.chains)])


def stored_corpus(path: Path) -> Corpus:
    """What `write_corpus` wrote.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    rows = read_rows(path, "documents")
    try:
        documents = tuple(Document(row["name"], row["text"]) for row in rows if "name" in row)
        chains = tuple(Chain(tuple(row["names"]), tuple(row["documents"])) for row in rows if "names" in row)
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: {json.dumps(str(error))}; expected the corpus of `train tools`") from error
    return Corpus(documents, chains)


def _passages(text: str) -> list[str]:
    """Paragraphs together, up to a passage's length; a longer one stands alone, cut at its words."""
    found: list[str] = []
    for paragraph in filter(None, (part.strip() for part in text.split("\n\n"))):
        pieces = [paragraph[first : first + _PASSAGE] for first in range(0, len(paragraph), _PASSAGE)]
        for piece in pieces:
            if found and len(found[-1]) + len(piece) < _PASSAGE:
                found[-1] += f"\n\n{piece}"
            else:
                found.append(piece)
    return found


def _name(rng: Random, taken: set[str]) -> str:
    while True:
        name = "".join(rng.choice(_FIRST) for _ in range(rng.randint(1, 2))) + rng.choice(_LAST)
        if name not in taken:
            taken.add(name)
            return name.capitalize()


def _inserted(rng: Random, text: str, sentence: str) -> str:
    """A sentence between two others; nothing of the text is lost."""
    ends = [place + 2 for place in range(len(text) - 1) if text[place : place + 2] == ". "]
    place = rng.choice([0, *ends])
    return f"{text[:place]}{sentence} {text[place:]}"
