"""From a folder of prompts to a benchmark, verdicts and a board's page: three commands.

    palaestra bench build PROMPTS --out set ...     which prompts are worth asking
    palaestra judge run set --out run ...           contestants answer, a judge compares
    palaestra judge board run --html board.html     who is better, and how sure that is

Contestants, judge and labeller are scripted here, so that nothing has to be paid for: the judge likes what is shown
first a little, and what is long; the labeller follows a rule that can be read. With names of real models in models.toml
the same three commands do the real thing. `palaestra judge audit run` then finds the judge's faults.
Run it: `python tutorials/106_from_prompts_to_a_board.py [FOLDER]`. It takes a minute.
"""

import random
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = """
[[model]]
name = "long-winded"
endpoint = "scripted:markdown?words=80"
[[model]]
name = "plain"
endpoint = "scripted:markdown?words=20"
[[model]]
name = "parrot"
endpoint = "scripted:echo"
[[model]]
name = "judge"
endpoint = "scripted:judge?sharp=1&length=0.8&position=0.4"
[[model]]
name = "labeller"
endpoint = "scripted:criteria"
"""
ASKED = {
    "Implement a Python function for our company that is about {}, and explain why it is correct: use {}.": (
        "sorting records, merging logs, parsing dates, hashing files, searching graphs, counting words, caching calls",
        "two keys, stable ties, generators, type hints, recursion, a heap, bisect, one pass, little memory, doctests",
    ),
    "Derive the equation of motion of {} in 3 steps, state each assumption, and give numbers for {}.": (
        "a falling ball, a pendulum, a comet, a spinning top, a rocket, a skater, a wave on a string, a charged drop",
        "drag, friction, ten metres, a tilted plane, low gravity, small angles, two masses, energy loss, rotation",
    ),
    "Write a clause for my business about {}, find 2 risks, and say who owes what in the case of {}.": (
        "ending a lease, late delivery, a loan among friends, shared software, a broken machine, secret recipes",
        "an early notice, a bankrupt partner, three currencies, a flood, a strike, new taxes, a lost key, a lawsuit",
    ),
    "Design our garden with {}, with dates, distances and 3 ways of watering, for {}.": (
        "tomatoes, pumpkins, roses, herbs, an old orchard, beans and maize, a pond, berries, salads, climbing peas",
        "a dry summer, heavy clay, a windy roof, four children, late frost, slugs, little time, shade, a small budget",
    ),
    "Hi there, hello, how is {} today, and do you like {}?": (
        "your cat, the weather, your mood, the music, your day, the food, the moon, the sea, your friend, the town",
        "tea, rain, snow, dogs, bread, blue, jokes, trains, cheese, songs, soup, winter, walks, cake, stars, honey",
    ),
}


def palaestra(*words: str) -> None:
    """Run one command in the folder, as a user would."""
    print("\n$ palaestra", *words, flush=True)
    subprocess.run([sys.executable, "-m", "palaestra", *words], cwd=folder, check=True, stderr=subprocess.STDOUT)  # noqa: S603 - our own program


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="palaestra-"))
(folder / "prompts").mkdir(parents=True)
(folder / "models.toml").write_text(MODELS)
rng = random.Random(0)  # noqa: S311 - made-up prompts
for topic, (task, (things, details)) in enumerate(ASKED.items()):
    for n in range(40):
        one, more = rng.choice(things.split(", ")), ", ".join(rng.sample(details.split(", "), 4))
        (folder / "prompts" / f"{topic}-{n}.txt").write_text(task.format(one, more))

palaestra(
    "bench", "build", "prompts", "--out", "set", "--models", "models.toml", "--judge", "labeller",
    "--size", "24", "--per-topic", "6", "--topic-size", "8", "--first-score", "2", "--first-mean", "2",
    "--score", "3", "--mean", "2.5", "--name-by", "words", "--license", "cc0-1.0",
)  # fmt: skip
palaestra(
    "judge", "run", "set", "--out", "run", "--model", "long-winded", "--model", "plain", "--baseline", "parrot",
    "--judge", "judge",
)  # fmt: skip
palaestra("judge", "board", "run", "--covariates", "position", "--html", "board.html")
print(f"\nLook at {folder / 'set' / 'page.html'} and {folder / 'board.html'}")
