"""The picture of docs/reward_losses.md, made anew: what each outcome costs, against the difference of two rewards."""

from __future__ import annotations

from pathlib import Path

from palaestra.pictures.drawing import altair, save_chart, styled
from palaestra.pictures.palette import FIRST, INK, SECOND
from palaestra.rewards import losses

HERE = Path(__file__).parent
ETA = 0.7
"""Of Rao and Kupper; Davidson's is set so that equal rewards are level as often."""
LAWS = ("Bradley-Terry", "Rao-Kupper", "Davidson")


def rows() -> list[dict[str, float | str]]:
    """The loss of each outcome under each law, pair by pair."""
    import torch

    share = torch.tanh(torch.tensor(ETA / 2, dtype=torch.float64))
    davidson = float(torch.log(2 * share / (1 - share)))
    nought = torch.zeros(1, dtype=torch.float64)
    found: list[dict[str, float | str]] = []
    for tenth in range(-50, 51):
        first = nought + tenth / 10
        for outcome, name in ((0, "the first is better"), (2, "level")):
            said = torch.tensor([outcome])
            costs = {
                "Rao-Kupper": losses.rao_kupper(first, nought, said, ETA),
                "Davidson": losses.davidson(first, nought, said, davidson),
            }
            if outcome == 0:
                costs["Bradley-Terry"] = losses.bradley_terry(first, nought)
            found += [
                {"difference": tenth / 10, "loss": float(cost), "law": law, "outcome": name}
                for law, cost in costs.items()
            ]
    return found


def main() -> None:
    """Draw."""
    alt = altair()
    color = alt.Color("law:N", sort=list(LAWS), scale=alt.Scale(domain=list(LAWS), range=[INK, FIRST, SECOND]))
    dash = alt.StrokeDash("outcome:N", sort=None)
    chart = (
        alt.Chart(alt.Data(values=rows()))
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("difference:Q", title="reward of the first less that of the second"),
            y=alt.Y("loss:Q", title="loss, nats"),
            color=color.title(None),
            strokeDash=dash.title(None),
        )
        .properties(width=420, height=280)
    )
    said = "two of three laws know level pairs; their strengths are alike at a difference of nought"
    save_chart(styled(chart, "What an outcome costs", said), HERE / "reward-losses.png")


if __name__ == "__main__":
    main()
