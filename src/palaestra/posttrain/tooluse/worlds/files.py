"""A small tree of text files, of which nothing lies on any disk."""

from __future__ import annotations

from random import Random
from typing import Annotated

from pydantic import Field

from palaestra.posttrain.tooluse.tools import Result, State, ToolError, tool
from palaestra.posttrain.tooluse.world import Call, Drawn, Template, World
from palaestra.posttrain.tooluse.worlds.names import TOPICS, WORDS

FilePath = Annotated[str, Field(min_length=1, max_length=80, description="as notes/plan.txt")]
Text = Annotated[str, Field(max_length=2000)]
_FOLDERS = ("notes", "drafts", "archive")


def _start(rng: Random) -> State:
    names, words = rng.sample(TOPICS, 5), rng.sample(WORDS, 20)
    files = {}
    for number, name in enumerate(names):
        lines = [" ".join(rng.sample(words[4 * number : 4 * number + 4], 3)) for _ in range(rng.randint(2, 5))]
        files[f"{rng.choice(_FOLDERS)}/{name}.txt"] = "\n".join(lines)
    return {"files": files}


def _text(state: State, path: str) -> str:
    if path not in state["files"]:
        raise ToolError(f"there is no file {path!r}")
    return state["files"][path]


@tool
def list_files(state: State, *, folder: str) -> Result:
    """List the paths of the files in a folder."""
    found = sorted(path for path in state["files"] if path.startswith(f"{folder.rstrip('/')}/"))
    if not found:
        raise ToolError(f"there is no file in the folder {folder!r}")
    return {"files": [{"path": path} for path in found]}


@tool
def search_files(state: State, *, word: str) -> Result:
    """Find the paths of files whose text contains a word."""
    return {"files": [{"path": path} for path, text in sorted(state["files"].items()) if word in text.split()]}


@tool
def read_file(state: State, *, path: FilePath) -> Result:
    """Read the text of a file."""
    return {"text": _text(state, path)}


@tool
def count_lines(state: State, *, path: FilePath) -> Result:
    """Count the lines of a file."""
    return {"lines": len(_text(state, path).splitlines())}


@tool
def write_file(state: State, *, path: FilePath, text: Text) -> Result:
    """Write a text to a file, new or not."""
    state["files"][path] = text
    return {"written": path}


@tool
def move_file(state: State, *, path: FilePath, target: FilePath) -> Result:
    """Give a file another path."""
    text = _text(state, path)
    if target in state["files"]:
        raise ToolError(f"there is a file {target!r} already")
    del state["files"][path]
    state["files"][target] = text
    return {"moved": target}


@tool
def delete_file(state: State, *, path: FilePath) -> Result:
    """Delete a file."""
    _text(state, path)
    del state["files"][path]
    return {"deleted": path}


def _new_path(rng: Random, state: State) -> str:
    return rng.choice([each for topic in TOPICS for each in (f"archive/{topic}.txt", f"drafts/{topic}.txt")
                       if each not in state["files"]])  # fmt: skip


def _word_in(rng: Random, state: State) -> str:
    return rng.choice(sorted({word for text in state["files"].values() for word in text.split()}))


def _create(rng: Random, state: State, call: Call) -> Drawn:
    path, text = _new_path(rng, state), " ".join(rng.sample(WORDS, 3))
    call(write_file, path=path, text=text)
    return Drawn({"path": path, "text": text})


def _rename(rng: Random, state: State, call: Call) -> Drawn:
    path, target = rng.choice(sorted(state["files"])), _new_path(rng, state)
    call(move_file, path=path, target=target)
    return Drawn({"path": path, "target": target})


def _lines(rng: Random, state: State, call: Call) -> Drawn:
    path = rng.choice(sorted(state["files"]))
    call(count_lines, path=path)
    return Drawn({"path": path}, "lines")


def _copy(rng: Random, state: State, call: Call) -> Drawn:
    path, target = rng.choice(sorted(state["files"])), _new_path(rng, state)
    call(write_file, path=target, text=call(read_file, path=path)["text"])
    return Drawn({"path": path, "target": target})


def _delete_with(rng: Random, state: State, call: Call) -> Drawn:
    word = _word_in(rng, state)
    call(delete_file, path=call(search_files, word=word)["files"][0]["path"])
    return Drawn({"word": word})


def _move_with(rng: Random, state: State, call: Call) -> Drawn:
    word, target = _word_in(rng, state), _new_path(rng, state)
    call(move_file, path=call(search_files, word=word)["files"][0]["path"], target=target)
    return Drawn({"word": word, "target": target})


def _lines_with(rng: Random, state: State, call: Call) -> Drawn:
    word = _word_in(rng, state)
    call(count_lines, path=call(search_files, word=word)["files"][0]["path"])
    return Drawn({"word": word}, "lines")


def _empty(rng: Random, state: State, call: Call) -> Drawn:
    folder = rng.choice(sorted({path.partition("/")[0] for path in state["files"]}))
    for each in call(list_files, folder=folder)["files"]:
        call(delete_file, path=each["path"])
    return Drawn({"folder": folder})


FILES = World(
    "files",
    "a tree of text files",
    (list_files, search_files, read_file, count_lines, write_file, move_file, delete_file),
    _start,
    (
        Template("create", (
            'Create the file "{path}" with the text "{text}".',
            'Write "{text}" into a new file "{path}".',
            'I need a file "{path}" that says "{text}".',
        ), _create),
        Template("rename", (
            'Move the file "{path}" to "{target}".',
            'The file "{path}" shall be "{target}" from now on.',
            'Please rename "{path}" to "{target}".',
        ), _rename),
        Template("lines", (
            'How many lines does the file "{path}" have?',
            'Count the lines of "{path}".',
            'Tell me the number of lines in "{path}".',
        ), _lines),
        Template("copy", (
            'Copy the file "{path}" to "{target}" and keep the old one.',
            'I want the text of "{path}" in "{target}" as well.',
            'Please make a copy of "{path}" with the path "{target}".',
        ), _copy),
        Template("delete_with", (
            'Delete the file that contains the word "{word}".',
            'One file has the word "{word}" in it. Please delete it.',
            'The file with "{word}" in its text is not needed any more. Remove it.',
        ), _delete_with),
        Template("move_with", (
            'Move the file that contains the word "{word}" to "{target}".',
            'Find the file with "{word}" in its text and rename it to "{target}".',
            'The file in which the word "{word}" stands shall be "{target}".',
        ), _move_with),
        Template("lines_with", (
            'How many lines has the file that contains the word "{word}"?',
            'Find the file with the word "{word}" and count its lines.',
            'There is a file with "{word}" in it. How many lines is it long?',
        ), _lines_with),
        Template("empty", (
            'Delete all files in the folder "{folder}".',
            'Empty the folder "{folder}".',
            'Please remove every file of "{folder}".',
        ), _empty),
    ),
    aliases={"path": ("path", "target"), "target": ("target", "path")},
)  # fmt: skip
