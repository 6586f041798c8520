"""The pictures of docs/rewards.md, made anew: a reward of 2,312 human preferences (hh-rlhf), and one without style.

The preferences lie beside the project (`shared/data`), and are not part of it. Their vectors take some minutes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import gettempdir

os.environ.setdefault("OMP_NUM_THREADS", "1")

from palaestra.pictures.drawing import altair, save_chart
from palaestra.rewards.card import headline, lines
from palaestra.rewards.charts import parts_chart, reliability_chart, style_chart
from palaestra.rewards.config import RewardConfig
from palaestra.rewards.train import train_head
from palaestra.rewards.vectors import featurizer
from palaestra.store.preferences import read_preferences

HERE = Path(__file__).parent
PAIRS = HERE.parents[2] / "shared" / "data" / "preferences" / "hh-rlhf" / "harmless-base_test.jsonl.gz"
CONFIGS = {
    "as it comes": RewardConfig(),
    "the reply alone": RewardConfig(views=("reply",)),
    "without style": RewardConfig(debias=("length", "markdown")),
}


def main(kept: Path) -> None:
    """Train, print, draw."""
    preferences = read_preferences(PAIRS).preferences
    maker = featurizer("local:minilm")
    found = {}
    for name, config in CONFIGS.items():
        found[name] = train_head(preferences, config, maker, folder=kept).evaluation
        print(f"\n{name}: {headline(found[name])}")
        for label, words in lines(found[name]):
            print(f"  {label}: {words}")
        for effect in found[name].style.effects:
            print(f"  style {effect.name}: {effect.value:+.3f} ({effect.lower:+.3f} to {effect.upper:+.3f})")
    first = found["as it comes"]
    save_chart(reliability_chart(first), HERE / "reward-reliability.png")
    save_chart(style_chart(first), HERE / "reward-style.png")
    save_chart(parts_chart(first), HERE / "reward-accuracy.png")


if __name__ == "__main__":
    altair()
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(gettempdir()) / "palaestra-reward-features")
