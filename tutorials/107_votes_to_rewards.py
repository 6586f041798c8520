"""From votes to a reward: which replies do people prefer, and how much of that is length?

People are simulated here. They like replies that name a source, dislike those that boast, and are taken in by length
more than they know. A head on MiniLM's vectors learns what they like; a second one is kept from learning that they
like what is long. Both then score the same two replies.

    palaestra reward train votes.jsonl --out run                            with length
    palaestra reward train votes.jsonl --out fair --debias length,markdown  without
    palaestra reward score fair new.jsonl --out scores

Run it: `python tutorials/107_votes_to_rewards.py [FOLDER]`. It takes a minute or two.
"""

import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

THINGS = ["the tides", "a rainbow", "rust", "yeast", "an eclipse", "thunder", "tea", "glass", "soap", "echoes", "frost"]
GOOD = ("The encyclopedia says that {} follows from simple laws.", "A textbook of physics explains {} step by step.")
BAD = ("I am the greatest expert on {} that ever lived!", "Trust me, nobody knows {} as well as I do!")
FILLER = (
    "It is seen in many places.",
    "There is a lot to be said about it.",
    "People have wondered about it for long.",
)


def reply(thing: str) -> tuple[str, float]:
    """A reply, and what it is worth without its length."""
    good, more = rng.random() < 0.5, rng.randint(0, 6)
    text = rng.choice(GOOD if good else BAD).format(thing)
    return " ".join([text, *(rng.choice(FILLER) for _ in range(more))]), 1.0 if good else -1.0


def palaestra(*words: str) -> None:
    """Run one command in the folder, as a user would."""
    print("\n$ palaestra", *words, flush=True)
    subprocess.run([sys.executable, "-m", "palaestra", *words], cwd=folder, check=True, stderr=subprocess.STDOUT)  # noqa: S603 - our own program


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="palaestra-"))
folder.mkdir(parents=True, exist_ok=True)
rng = random.Random(0)  # noqa: S311 - made-up votes
with (folder / "votes.jsonl").open("w") as file:
    for number in range(150):
        thing = rng.choice(THINGS)
        (first, worth), (second, other) = reply(thing), reply(thing)
        d = worth - other + 1.5 * (math.log(len(first)) - math.log(len(second)))
        better = (first, second) if rng.random() < 1 / (1 + math.exp(-d)) else (second, first)
        asked = f"What is behind {thing}? ({number})"
        file.write(json.dumps({"prompt": asked, "chosen": better[0], "rejected": better[1]}) + "\n")

short, long = GOOD[0].format("rain"), " ".join([BAD[0].format("rain"), *(FILLER * 4)])
with (folder / "new.jsonl").open("w") as file:
    file.writelines(json.dumps({"prompt": "What is behind rain?", "reply": text}) + "\n" for text in (short, long))

for name, *debias in (("run",), ("fair", "--debias", "length,markdown")):
    palaestra("reward", "train", "votes.jsonl", "--out", name, "--views", "reply", *debias)
    palaestra("reward", "score", name, "new.jsonl", "--out", f"{name}-scores", "--write", "jsonl")
    for line in (folder / f"{name}-scores" / "scores.jsonl").read_text().splitlines():
        found = json.loads(line)
        print(f"{found['reward']:+.2f} ± {found['spread']:.2f}  {found['reply'][:60]}")
print(f"\nLook at {folder / 'run' / 'page.html'} and {folder / 'fair' / 'page.html'}")
