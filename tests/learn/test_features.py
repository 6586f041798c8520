"""Kept features: the same whatever was kept, and computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from palaestra.errors import InputError
from palaestra.learn.features import CHUNK, Features, features


class Lengths:
    name = "lengths"

    def __init__(self, stop_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.stop_after = stop_after

    def __call__(self, texts: Sequence[str]) -> Features:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += texts
        return np.array([[len(text), hash(text) % 97] for text in texts], dtype=np.float32)


TEXTS = [f"text {number % 700}" for number in range(1000)]


def test_each_distinct_text_is_computed_once_and_again_never(tmp_path: Path) -> None:
    first, second = Lengths(), Lengths()
    found = features(first, TEXTS, tmp_path)
    assert sorted(first.asked) == sorted(set(TEXTS))
    np.testing.assert_array_equal(found, Lengths()(TEXTS))
    np.testing.assert_array_equal(features(second, TEXTS, tmp_path), found)
    assert second.asked == []


def test_what_was_computed_before_an_interruption_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        features(Lengths(stop_after=CHUNK), TEXTS, tmp_path)
    again = Lengths()
    features(again, TEXTS, tmp_path)
    assert len(again.asked) == len(set(TEXTS)) - CHUNK


def test_a_chunk_that_was_cut_short_is_computed_anew(tmp_path: Path) -> None:
    features(Lengths(), TEXTS, tmp_path)
    chunk = next(tmp_path.glob("*.npy"))
    chunk.write_bytes(chunk.read_bytes()[:-3])
    np.testing.assert_array_equal(features(Lengths(), TEXTS, tmp_path), Lengths()(TEXTS))


def test_progress_is_told_and_no_texts_are_refused() -> None:
    told: list[tuple[int, int]] = []
    features(Lengths(), TEXTS, tell=lambda done, of: told.append((done, of)))
    assert told == [(256, 700), (512, 700), (700, 700)]
    with pytest.raises(InputError, match="found no texts"):
        features(Lengths(), [])
