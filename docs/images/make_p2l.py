"""The pictures of docs/p2l.md: boards of two prompts, where one leaves the average, a newcomer's error by its votes.

Votes are simulated: six models, prompts of sums and of verse, vectors of MiniLM. The curve is read from
docs/benchmarks/p2l.md.
"""

import re
from pathlib import Path

import numpy as np

from palaestra.gateway.embed import embedder
from palaestra.p2l.config import TrainConfig
from palaestra.p2l.head import HeadBoards
from palaestra.p2l.leaderboard import leaderboard, strengths
from palaestra.p2l.report import rating_chart, strength_chart
from palaestra.p2l.train import train
from palaestra.pictures.drawing import altair, save_chart, styled
from palaestra.pictures.palette import FIRST, SOFT
from palaestra.store.prompted_votes import PromptedVotes

HERE = Path(__file__).parent
STRENGTHS = np.array([[1.6, -1.0], [0.8, -0.2], [0.3, 0.3], [-0.2, 0.7], [-0.9, 1.5], [-1.6, -1.3]])
NAMES = ("abacus", "ledger", "steady", "letter", "troubadour", "parrot")
SUMS = "How much is {} times {}, and what is a third of that?"
VERSE = "Write a verse in {} lines about {} years of longing."
ASKED = {"sums": "What is 17 times 12, halved?", "verse": "A short poem about the autumn wind, please."}


def votes_of(prompts: int, votes: int) -> PromptedVotes:
    """Votes on prompts of two kinds."""
    rng = np.random.default_rng(0)
    topic_P = np.arange(prompts) % 2
    numbers = rng.permutation(99 * 99)[:prompts]
    texts = [(SUMS, VERSE)[t].format(n // 99 + 1, n % 99 + 1) for t, n in zip(topic_P, numbers, strict=True)]
    prompt_B = np.sort(rng.integers(0, prompts, votes)).astype(np.int32)
    first_B = rng.integers(0, len(NAMES), votes)
    second_B = (first_B + rng.integers(1, len(NAMES), votes)) % len(NAMES)
    d_B = STRENGTHS[first_B, topic_P[prompt_B]] - STRENGTHS[second_B, topic_P[prompt_B]]
    outcome_B = (rng.random(votes) > 1 / (1 + np.exp(-d_B))).astype(np.int8)
    return PromptedVotes(
        tuple(texts), NAMES, prompt_B, first_B.astype(np.int32), second_B.astype(np.int32), outcome_B, np.ones(votes),
        np.full(votes, -1, dtype=np.int32),
    )  # fmt: skip


maker = embedder("local:minilm")
boards = HeadBoards(train(votes_of(300, 3000), TrainConfig(), maker), lambda: maker)
alt = altair()
for name, prompt in ASKED.items():
    found = leaderboard(boards, [prompt])
    save_chart(rating_chart(found), HERE / f"p2l-{name}.png")
    print(prompt, [line.model for line in found.models])
save_chart(strength_chart(strengths(boards, [ASKED["verse"]])), HERE / "p2l-strengths.png")

page = (HERE.parent / "benchmarks" / "p2l.md").read_text().partition("## A new model")[2]
rows = [
    {"votes": int(votes), "error": float(error), "which": which}
    for votes, head, plain in re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \|", page, re.MULTILINE)
    for which, error in (("with what is known of others", head), ("a board of these votes", plain))
]
which = alt.Color("which:N", title=None, scale=alt.Scale(range=[SOFT, FIRST]), legend=alt.Legend(orient="top"))
lines = (
    alt.Chart(alt.Data(values=rows))
    .mark_line(point=True)
    .encode(
        x=alt.X(
            "votes:Q",
            title="the newcomer's votes",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=[row["votes"] for row in rows[::2]]),
        ),
        y=alt.Y("error:Q", title="mean error of a win rate"),
        color=which,
    )
)
save_chart(
    styled(
        lines.properties(width=420, height=240), "A new model", "against the true chances on new prompts; simulated"
    ),
    HERE / "p2l-newcomer.png",
)
