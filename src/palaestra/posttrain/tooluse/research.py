"""Long questions over documents: two to five facts that lie in as many documents, an answer, and what must be cited.

Tools are a search by words (`bm25.py`) and the opening of a document; the way there is a search and an opening for each
fact, since the name to search for next stands in the document before. Questions of held-out chains are held out: none
of their facts occurs in training. Chains and documents are written beside the examples, so that a verifier has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Annotated

from pydantic import Field

from palaestra.posttrain.tooluse.bm25 import Index
from palaestra.posttrain.tooluse.corpus import RELATIONS, Chain, Corpus, stored_corpus
from palaestra.posttrain.tooluse.tasks import Split, Step, Task, named
from palaestra.posttrain.tooluse.tools import Result, State, Tool, ToolError, run, tool
from palaestra.posttrain.tooluse.world import World
from palaestra.posttrain.tooluse.worlds import WORLDS

RESEARCH, CORPUS_FILE = "research", "corpus.jsonl"
_RESULTS = 5
_SHOWN = 60
"""Characters of a result's beginning."""
_PHRASES = (
    "the company that makes the {0}", "the founder of {0}", "the town in which {0} was born",
    "the river on which {0} lies", "the length in km of {0}",
)  # fmt: skip
_STARTS = ("{0}", "the company {0}", "{0}", "the town of {0}", "the river {0}")
_QUERIES = ("{0} made company", "company {0} founded", "{0} born town", "town {0} lies river", "river {0} length km")
_WORDINGS = (
    "What is {0}?",
    "Find out from the documents: what is {0}?",
    "I need to know {0}. Please look it up.",
)


def research_world(corpus: Corpus) -> World:
    """The tools over a corpus. There are no templates: questions come from `questions`."""
    index = Index([document.text for document in corpus.documents])
    texts = {document.name: document.text for document in corpus.documents}
    names = list(texts)

    @tool
    def search_documents(state: State, *, query: Annotated[str, Field(min_length=1, max_length=300)]) -> Result:  # noqa: ARG001 - every tool has a state
        """Search the documents by words: names of the five that fit best, with their beginnings."""
        found = [names[place] for place, _ in index.best(query, _RESULTS)]
        return {"results": [{"document": name, "beginning": texts[name][:_SHOWN]} for name in found]}

    @tool
    def open_document(state: State, *, document: Annotated[str, Field(max_length=200)]) -> Result:  # noqa: ARG001 - the same
        """Open a document by its name: its whole text."""
        if document not in texts:
            raise ToolError(f"there is no document {document!r}")
        return {"text": texts[document]}

    tools: tuple[Tool, ...] = (search_documents, open_document)
    return World(RESEARCH, "a collection of documents", tools, lambda _: {}, ())


def worlds_of(folder: str | Path) -> dict[str, World]:
    """The worlds that a run's examples are of: the fixed ones, and that of its corpus, if it has one.

    Raises:
        InputError: the corpus cannot be read.
    """
    file = Path(folder) / CORPUS_FILE
    return {**WORLDS, RESEARCH: research_world(stored_corpus(file))} if file.is_file() else dict(WORLDS)


def questions(world: World, corpus: Corpus, split: Split, held_out: float, seed: int) -> Iterator[Task]:
    """All questions of a split, in an order by chance; each can be answered by searching for the names in it.

    Args:
        world: of the corpus.
        corpus: with its chains.
        split: `train`, or `task` for the chains that are held out.
        held_out: the share of chains that are.
        seed: of chance.
    """
    kept_back = max(round(len(corpus.chains) * held_out), 1 if held_out else 0)
    chains = corpus.chains[kept_back:] if split == "train" else corpus.chains[:kept_back]
    spans = [
        (chain, first, last)
        for chain in chains
        for first in range(len(RELATIONS))
        for last in range(first + 2, len(RELATIONS) + 1)
    ]
    rng = Random(f"{seed} questions {split}")  # noqa: S311 - chance, no secret
    rng.shuffle(spans)
    for chain, first, last in spans:
        task = _question(world, chain, (first, last), rng.randrange(len(_WORDINGS)))
        if task is not None:
            yield named(task.model_copy(update={"split": split}))


def _question(world: World, chain: Chain, span: tuple[int, int], wording: int) -> Task | None:
    """The question from one place of a chain to another; None where the search does not find the way."""
    first, last = span
    phrase = chain.names[first] if first == 0 else _STARTS[first].format(chain.names[first])
    steps: list[Step] = []
    for place in range(first, last):
        phrase = _PHRASES[place].format(phrase)
        query = _QUERIES[place].format(chain.names[place])
        _, ran = run(world.tools, {}, "search_documents", json.dumps({"query": query}))
        found = {each["document"] for each in (ran.value or {"results": []})["results"]}
        if chain.documents[place] not in found:
            return None
        steps.append(Step(name="search_documents", arguments={"query": query}))
        steps.append(Step(name="open_document", arguments={"document": chain.documents[place]}))
    answer = chain.names[last]
    return Task(
        id="", world=RESEARCH, template=f"{last - first} documents", wording=wording, about=world.about,
        request=_WORDINGS[wording].format(phrase), slots={"name": chain.names[first]},
        offered=tuple(each.name for each in world.tools), start={}, solution=tuple(steps),
        answer=int(answer) if answer.isdigit() else answer, documents=chain.documents[first:last],
    )  # fmt: skip
