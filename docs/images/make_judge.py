"""The picture of docs/judge.md: the best of a published board of verdicts, strong ones counted three times and once.

The verdicts are those of Korean Arena-Hard (Apache-2.0), which lie beside the project; without them nothing is done.
"""

import sys
from pathlib import Path

from palaestra.judge.verdict_files import read_verdicts
from palaestra.pictures.drawing import save_chart
from palaestra.recipes.verdict_board import board_of_verdicts
from palaestra.recipes.verdict_report import scores_chart

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "shared" / "data" / "judgments" / "ko-arena-hard" / "ensemble_verdicts.csv.gz"
BASELINE = "claude-3.7-sonnet"

if not DATA.is_file():
    sys.exit(print("the verdicts are not beside the project: the picture stays as it is"))
found = board_of_verdicts(read_verdicts(DATA, BASELINE), baseline=BASELINE, strong=3)
save_chart(scores_chart(found, top=25), HERE / "judge-board.png")
for name in list(found.scores)[:3]:
    print(f"{name}: {found.scores[name].score:.1f}, with strong verdicts once {found.single[name]:.1f}")
