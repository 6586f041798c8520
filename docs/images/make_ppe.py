"""The pictures of docs/ppe.md, made anew: simulated replies, right or wrong, and rewards that know more or less.

Two domains of 150 prompts with 32 replies each. A reward is a verifier with so much noise, a length that goes with
being right in one domain and against it in the other, or chance.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from palaestra.pictures.drawing import altair, save_chart
from palaestra.recipes.proxy_board import bradley_terry_board
from palaestra.rewards.ppe.charts import curves_chart, figures_chart
from palaestra.rewards.ppe.evaluation import PpeConfig, evaluate
from palaestra.rewards.ppe.proxies import function_proxy
from palaestra.rewards.ppe.samples import read_samples

HERE = Path(__file__).parent
PROMPTS, REPLIES = 150, 32
NOISE = {"verifier": 0.3, "noisy verifier": 1.5}


def made(domain: str, length_helps: bool) -> list[dict[str, object]]:  # noqa: FBT001 - one of two worlds
    """Replies of one domain, right or wrong, longer where that goes with being right."""
    chance = random.Random(domain)  # noqa: S311 - simulated replies
    rows: list[dict[str, object]] = []
    for prompt in range(PROMPTS):
        share = chance.betavariate(1.2, 2)
        for reply in range(REPLIES):
            right = chance.random() < share
            words = chance.randint(5, 30) + (8 if right == length_helps else 0)
            text = f"{'right' if right else 'wrong'} {reply} " + "word " * words
            rows.append(
                {"question_id": f"{prompt}", "prompt": f"{domain} {prompt}", "response": text, "correct": right}
            )
    return rows


def noisy(scale: float, name: str):  # noqa: ANN201 - a function of prompts and replies
    """A reward that knows what is right, with noise that a text always has the same."""

    def score(prompts: object, replies: Sequence[str]) -> list[float]:
        _ = prompts
        return [text.startswith("right") + random.Random(name + text).gauss(0, scale) for text in replies]  # noqa: S311

    return score


verifier = noisy(NOISE["verifier"], "a")
noisy_verifier = noisy(NOISE["noisy verifier"], "b")
by_chance = noisy(1e9, "c")


def length(prompts: object, replies: Sequence[str]) -> list[float]:
    """The longer, the better."""
    _ = prompts
    return [float(len(text)) for text in replies]


def main() -> None:
    """Evaluate, print, draw."""
    names = {"verifier": "verifier", "noisy verifier": "noisy_verifier", "length": "length", "chance": "by_chance"}
    proxies = [function_proxy(name, f"{Path(__file__).stem}:{function}") for name, function in names.items()]
    samples = []
    with TemporaryDirectory() as folder:
        for domain, helps in (("long is right", True), ("short is right", False)):
            path = Path(folder) / "samples.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in made(domain, helps)), encoding="utf-8")
            samples += read_samples(path, domain)
    found = evaluate(proxies, PpeConfig(rounds=300), maker=bradley_terry_board, samples=samples)
    for one in found.figures:
        print(one.domain, one.metric, one.proxy, one.value, one.lower, one.upper)
    save_chart(curves_chart(found), HERE / "ppe-curves.png")
    save_chart(figures_chart(found, "correctness", "auc"), HERE / "ppe-auc.png")


if __name__ == "__main__":
    altair()
    main()
