"""One board says who is best on average. Who is best at *this*?

Three models meet on made-up prompts of two kinds: `counter` is good at sums, `poet` at verse, `steady` is in between
at both. On one board they are level. Strengths that depend on the prompt's vector tell them apart, on prompts that
nobody voted on. Then `newcomer` joins with thirty votes, where training need not be repeated.

    palaestra p2l train votes.jsonl --out run            vectors, a head, an ensemble
    palaestra p2l board run --prompt "..."               who is best here
    palaestra p2l add run few.jsonl --out joined         a new model

Run it: `python tutorials/108_a_leaderboard_for_every_prompt.py [FOLDER]`. It takes a minute.
"""

import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

SUMS = "How much is {0} times {1}, less {1}, and what is a third of that?"
VERSE = "Write a verse about {2} in {0} lines, sad and full of longing, without the word {3}."
NOUNS = ("rain", "home", "the sea", "a star", "a clock", "snow", "youth", "the moon", "an apple tree", "a lost key")
STRENGTH = {"counter": (1.5, -1.5), "poet": (-1.5, 1.5), "steady": (0.0, 0.0), "newcomer": (-1.5, 1.2)}
"""In log odds: at sums, and at verse."""


def vote(names: list[str], rival: str | None = None) -> dict[str, str]:
    """Two models meet on a prompt, and somebody says who was better."""
    topic = rng.randrange(2)
    first, second = rng.sample(names, 2) if rival is None else (rival, rng.choice(names))
    d = STRENGTH[first][topic] - STRENGTH[second][topic]
    prompt = (SUMS, VERSE)[topic].format(rng.randint(2, 99), rng.randint(2, 99), *rng.sample(NOUNS, 2))
    winner = "model_a" if rng.random() < 1 / (1 + math.exp(-d)) else "model_b"
    return {"prompt": prompt, "model_a": first, "model_b": second, "winner": winner}


def palaestra(*words: str) -> None:
    """Run one command in the folder, as a user would."""
    print("\n$ palaestra", *words, flush=True)
    subprocess.run([sys.executable, "-m", "palaestra", *words], cwd=folder, check=True, stderr=subprocess.STDOUT)  # noqa: S603 - our own program


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="palaestra-"))
folder.mkdir(parents=True, exist_ok=True)
rng = random.Random(0)  # noqa: S311 - made-up votes
known = ["counter", "poet", "steady"]
for file, votes in (
    ("votes", [vote(known) for _ in range(400)]),
    ("few", [vote(known, "newcomer") for _ in range(30)]),
):
    (folder / f"{file}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in votes))

palaestra("p2l", "train", "votes.jsonl", "--out", "run", "--members", "16")
palaestra("p2l", "board", "run", "--prompt", "What is 17 times 12, halved?")
palaestra("p2l", "add", "run", "few.jsonl", "--out", "joined")
palaestra("p2l", "board", "joined", "--prompt", "A short poem about the autumn wind, please.", "--html", "page.html")
print(f"\nLook at {folder / 'page.html'}")
