"""Tools, tasks and the check of trajectories, by their laws: solvable as said, in no fewer calls, no fault passes."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.errors import InputError
from palaestra.posttrain.examples import read_examples, write_examples
from palaestra.posttrain.tooluse import bm25
from palaestra.posttrain.tooluse.checks import answer_of, right_answer, verify
from palaestra.posttrain.tooluse.corpus import RELATIONS, made_up, plant, read_corpus, stored_corpus, write_corpus
from palaestra.posttrain.tooluse.make import ToolsConfig, plan
from palaestra.posttrain.tooluse.negatives import FAULTS, negative, played
from palaestra.posttrain.tooluse.research import RESEARCH, questions, research_world
from palaestra.posttrain.tooluse.rollouts import rollouts
from palaestra.posttrain.tooluse.search import fewest
from palaestra.posttrain.tooluse.solvers import Scripted, closing
from palaestra.posttrain.tooluse.talk import as_text, heard, spoken
from palaestra.posttrain.tooluse.tasks import Needs, Task, drawn, held_out_tools, tasks_of
from palaestra.posttrain.tooluse.tools import canonical, run
from palaestra.posttrain.tooluse.world import Template, World
from palaestra.posttrain.tooluse.worlds import WORLDS
from palaestra.schema import Message, ToolCallPart

TEMPLATES = [(world, template) for world in WORLDS.values() for template in world.templates]
NAMES = [f"{world.name}-{template.name}" for world, template in TEMPLATES]


def chance(seed: int | str) -> Random:
    return Random(seed)  # noqa: S311 - no secret


def some(world: World, template: Template, count: int) -> list[Task]:
    every = (drawn(world, template, chance(f"law {number}")) for number in range(200))
    return list(islice((task for task in every if task is not None), count))


@pytest.mark.parametrize(("world", "template"), TEMPLATES, ids=NAMES)
def test_every_task_is_done_by_its_own_solution_and_by_no_end_alone(world: World, template: Template) -> None:
    tasks = some(world, template, 20)
    assert len(tasks) == 20
    assert {task.wording for task in tasks} == set(range(len(template.wordings)))
    for one in rollouts(tasks, Scripted(), WORLDS):
        assert one.outcome.economical
        assert one.outcome.argument_match
        assert one.outcome.valid == one.outcome.calls == one.task.minimal > 0
        assert one.task.request == template.wordings[one.task.wording].format(**one.task.slots)
        if one.task.goal is not None:
            assert not verify(one.task, [Message.of("assistant", closing(one.task))]).success
        assert not verify(one.task, one.messages[:-1]).success  # it must come to an end


@pytest.mark.parametrize(("world", "template"), TEMPLATES, ids=NAMES)
def test_no_fewer_calls_do_it_by_brute_force(world: World, template: Template) -> None:
    checked = 0
    for task in some(world, template, 12):
        if task.minimal <= (2 if world.by_heart else 4):
            assert fewest(world, task, task.minimal - 1) is None, task.request
            checked += 1
        if task.minimal <= 2 and not world.by_heart:
            assert fewest(world, task, task.minimal) == task.minimal
        if checked == 3:
            break
    assert checked or template.name in {"close", "order_two", "save_capitals", "sum"}  # more calls than are searched


@pytest.mark.parametrize(("world", "template"), TEMPLATES, ids=NAMES)
def test_every_fault_is_seen(world: World, template: Template) -> None:
    for number, task in enumerate(some(world, template, 6)):
        for fault in FAULTS:
            said = negative(world, task, fault, chance(number))
            assert said is not None or fault == "extra_call", (fault, task.request)
            if said is None:
                continue
            outcome = verify(task, said)
            assert outcome.success == (fault == "extra_call")
            assert not outcome.economical
            assert outcome.fault
            assert outcome.missing or outcome.extra


def test_one_useless_call_more_is_no_economy_wherever_it_stands() -> None:
    world = WORLDS["shop"]
    task = some(world, world.templates[0], 1)[0]
    for place in range(task.minimal + 1):
        more = (*task.solution[:place], task.solution[0], *task.solution[place:])
        outcome = verify(task, played(world, task, more, closing(task)))
        assert (outcome.success, outcome.economical, outcome.extra, outcome.missing) == (True, False, 1, 0)
        assert outcome.fault == "extra calls"


def test_a_failed_call_counts_and_what_a_trajectory_says_of_results_does_not() -> None:
    world = WORLDS["bank"]
    task = some(world, world.templates[1], 1)[0]
    said = list(played(world, task, task.solution, "Answer: done"))
    junk = Message(role="assistant", content=(ToolCallPart(call_id="x", name="rob_bank", arguments="{}"),))
    outcome = verify(task, [junk, *said])
    assert (outcome.success, outcome.economical, outcome.errors) == (True, False, {"no_tool": 1})
    lie = [message for message in said if message.role != "tool"]
    assert verify(task, lie).success  # results are not needed: all is run again
    assert not verify(task, [*lie[:-2], lie[-1]]).state_match  # the transfer is missing, whatever was said
    assert verify(task, [*lie[:-2], lie[-1]]).fault == "wrong state"
    undone = task.model_copy(update={"goal": {**task.end, "accounts": {}}})
    assert not verify(undone, said).success


def test_to_refuse_is_right_where_no_tool_can_do_it_and_only_there() -> None:
    tasks = list(islice(tasks_of(WORLDS, Needs(), "train", seed=3, no_tool=0.5), 120))
    impossible = [task for task in tasks if task.kind == "no_tool"]
    assert 40 <= len(impossible) <= 80
    refusal = [Message.of("assistant", "I cannot.\nAnswer: cannot.")]
    for task in tasks:
        outcome = verify(task, refusal)
        assert outcome.success == outcome.economical == outcome.refusal_right == (task.kind == "no_tool")
        done = verify(task, [Message.of("assistant", "Answer: done")])
        assert not done.success or done.solvable
    for task in impossible:
        assert task.goal is None
        names = {tool.name for tool in WORLDS[task.world].tools}
        assert set(task.offered) <= names
        host = WORLDS[task.world]
        if any(
            template.wordings[task.wording].format_map(_Any(task.slots)) == task.request for template in host.templates
        ):
            assert set(task.offered) < names  # of its own world: a tool was taken away


class _Any(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def test_held_out_tools_never_occur_in_training() -> None:
    found = plan(ToolsConfig(tasks=160, held_out=0.25, no_tool=0.2, seed=5))
    assert {world for world, _ in found.tools} == set(WORLDS)
    kept_back = {name for _, name in found.tools}
    for task in found.train:
        assert not kept_back & {step.name for step in task.solution}
        assert not {(task.world, name) for name in task.offered} & found.tools
        assert not any(name in task.example(found.worlds[task.world]).labels["tools"] for name in kept_back)
    by = {split: [task for task in found.held_out if task.split == split] for split in ("task", "tool")}
    assert (len(found.train), len(by["task"]), len(by["tool"])) == (160, 40, 40)
    assert all(kept_back & {step.name for step in task.solution} for task in by["tool"])
    assert not any(kept_back & {step.name for step in task.solution} for task in by["task"])
    ids = [task.id for task in (*found.train, *found.held_out)]
    assert len(set(ids)) == len(ids)
    worlds = [task.world for task in found.train if task.kind == "solvable"]
    assert set(worlds) == set(WORLDS)
    assert min(map(worlds.count, WORLDS)) >= 10
    with pytest.raises(InputError, match="can be held out"):
        held_out_tools(WORLDS, 5, 0)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([(world, tool) for world in WORLDS.values() for tool in world.tools]),
    st.one_of(st.text(max_size=40), st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(width=32) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ).map(json.dumps)),
    st.integers(0, 99),
)  # fmt: skip
def test_whatever_is_written_a_call_ends_in_an_answer(which: Any, arguments: str, seed: int) -> None:
    world, tool = which
    state = world.start(chance(seed))
    before = canonical(state)
    after, ran = run(world.tools, state, tool.name, arguments)
    assert canonical(state) == before  # never changed in place
    json.loads(ran.text)
    if ran.error is not None:
        assert canonical(after) == before
        assert "error" in json.loads(ran.text)
    assert run(world.tools, state, "no such tool", arguments)[1].error == "no_tool"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_arguments_are_taken_if_and_only_if_their_schema_allows_them(data: st.DataObject) -> None:
    world = data.draw(st.sampled_from(list(WORLDS.values())))
    tool = data.draw(st.sampled_from(world.tools))
    schema: Any = tool.offered.parameters
    value = st.one_of(st.text(max_size=4), st.integers(-5, 30), st.booleans(), st.sampled_from([0.5, 9, 10**10, None]))
    fields = {
        name: st.one_of(value, st.sampled_from(kind["enum"])) if "enum" in kind else value
        for name, kind in schema.get("properties", {}).items()
    }
    more = data.draw(st.dictionaries(st.sampled_from(["other", "x"]), value, max_size=1))
    given_ = data.draw(st.fixed_dictionaries({}, optional=fields)) | more
    allowed = jsonschema.Draft202012Validator(schema).is_valid(given_)
    _, ran = run(world.tools, world.start(chance(0)), tool.name, json.dumps(given_))
    assert (ran.error == "arguments") == (not allowed), (schema, given_, ran)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30).map(str.strip), st.lists(st.tuples(st.text("abc_", min_size=1, max_size=8), st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=3)), max_size=3))  # fmt: skip
def test_calls_survive_as_text(said: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    if "<" in said or any("<" in json.dumps(arguments) for _, arguments in calls):
        return
    parts = [
        f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>" for name, arguments in calls
    ]
    message = heard("\n".join(filter(None, [said, *parts])))
    found = [part for part in message.content if isinstance(part, ToolCallPart)]
    assert [(part.name, json.loads(part.arguments)) for part in found] == calls
    assert message.text == said
    again = heard(spoken([message], ())[0].text)
    assert again == message


def test_text_that_is_no_call_becomes_a_call_that_is_refused() -> None:
    for text in ("<tool_call>add(1, 2)</tool_call>", "<tool_call>[1]</tool_call>", "<tool_call>{}", "<tool_call>"):
        (part,) = heard(text).content
        assert isinstance(part, ToolCallPart)
        assert run(WORLDS["bank"].tools, {}, part.name, part.arguments)[1].error == "no_tool"


def test_answers_are_compared_as_values() -> None:
    assert answer_of("I looked.\nAnswer: 4\n**Answer:** 12 [doc-1]") == "12"
    assert answer_of("12") == "12"
    assert answer_of(None) is None
    assert right_answer(1234.5, "1,234.5 km.")
    assert right_answer(3, "3.0")
    assert right_answer("Ada", ' "ada". ')
    assert not right_answer(12, "between 12 and 13")
    assert not right_answer(12, "it could be about 12 km")
    assert not right_answer(12, "")
    assert not right_answer("Ada", "Ada or Bela")


def test_examples_hold_all_that_the_check_needs(tmp_path: Path) -> None:
    tasks = list(islice(tasks_of(WORLDS, Needs(), "train", seed=0, no_tool=0.2), 24))
    done = rollouts(tasks, Scripted(), WORLDS)
    examples = [one.task.example(WORLDS[one.task.world], one.messages) for one in done]
    write_examples(tmp_path / "sft", examples)
    read = read_examples(tmp_path / "sft", completed=True).examples
    assert read == tuple(examples)
    assert all(verify(one, one.completion).economical for one in read)
    assert [Task.of(one) for one in read] == tasks
    plain = as_text(read[0])
    assert {part.type for message in (*plain.prompt, *plain.completion) for part in message.content} == {"text"}
    assert [heard(m.text) for m in plain.completion if m.role == "assistant"][-1].text == read[0].reply
    with pytest.raises(InputError, match="without the reference of a tool task"):
        verify(read[0].model_copy(update={"reference": "42"}), read[0].completion)
    with pytest.raises(InputError, match="expected one of bank"):
        verify(tasks[0].model_copy(update={"world": "moon"}), ())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=12).map(" ".join), min_size=1, max_size=8), st.lists(
    st.sampled_from("abcdefg"), min_size=1, max_size=4))  # fmt: skip
def test_search_scores_are_the_formula(texts: list[str], query: list[str]) -> None:
    mean = sum(len(text.split()) for text in texts) / len(texts) or 1.0
    expected: dict[int, float] = {}
    for place, text in enumerate(texts):
        have = text.split()
        for word in query:
            n, f = sum(word in other.split() for other in texts), have.count(word)
            idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            if f:
                gain = idf * f * 2.5 / (f + 1.5 * (0.25 + 0.75 * len(have) / mean))
                expected[place] = expected.get(place, 0.0) + gain
    found = bm25.Index(texts).best(" ".join(query), len(texts))
    assert dict(found) == pytest.approx(expected)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_questions_over_documents_need_all_of_them_and_cite_them(tmp_path: Path) -> None:
    corpus = plant(made_up(60, 1), 8, 1)
    world = research_world(corpus)
    worlds = {RESEARCH: world}
    train, held = (list(questions(world, corpus, split, 0.25, 1)) for split in ("train", "task"))
    assert len(train) >= 40
    assert len(held) >= 15
    assert not {str(task.slots["name"]) for task in train} & {str(task.slots["name"]) for task in held}
    texts = {document.name: document.text for document in corpus.documents}
    for one in rollouts([*train, *held], Scripted(), worlds):
        task = one.task
        assert one.outcome.economical
        assert len(task.documents) == len(set(task.documents)) == task.minimal // 2 >= 2
        others = [text for name, text in texts.items() if name != task.documents[-1]]
        assert str(task.answer) in texts[task.documents[-1]]
        assert not any(f"{task.answer} km" in text for text in others if isinstance(task.answer, int))
    task = train[0]
    said = rollouts([task], Scripted(), worlds)[0].messages
    bare = (*said[:-1], Message.of("assistant", f"Answer: {task.answer}"))
    assert verify(task, bare, worlds).fault == "wrong citations"
    guess = (Message.of("assistant", closing(task)),)  # right, and cited without having been read
    assert verify(task, guess, worlds).cited_unread == len(task.documents)
    assert not verify(task, guess, worlds).success
    write_corpus(tmp_path / "corpus.jsonl", corpus)
    assert stored_corpus(tmp_path / "corpus.jsonl") == corpus


def test_a_folder_of_texts_keeps_all_it_says_and_gets_facts(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.md").write_text(f"Text {number}. " * 200 + "\n\n" + "More. " * 80, encoding="utf-8")
    documents = read_corpus(tmp_path)
    assert len(documents) == 12
    assert max(len(document.text) for document in documents) <= 2000
    corpus = plant(documents, 3, 0)
    for before, after in zip(documents, corpus.documents, strict=True):
        left = after.text
        for chain in corpus.chains:
            for name in chain.names:
                left = left.replace(name, "")
        assert len(after.text) >= len(before.text)
        assert set(before.text.split()) <= set(left.split())
    assert all(len(chain.documents) == len(RELATIONS) for chain in corpus.chains)
    (tmp_path / "7.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="expected text in UTF-8"):
        read_corpus(tmp_path)
    with pytest.raises(InputError, match=r"found no \.txt or"):
        read_corpus(tmp_path / "none")
    with pytest.raises(InputError, match="expected at least 5"):
        plant(documents[:4], 1, 0)
