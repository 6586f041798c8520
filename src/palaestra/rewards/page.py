"""The page of a trained reward: stands alone, nothing is loaded from anywhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page
from palaestra.rewards.card import headline, lines
from palaestra.rewards.charts import parts_chart, reliability_chart, style_chart
from palaestra.rewards.evaluation import Evaluation


def write_reward_page(path: str | Path, name: str, found: Evaluation) -> None:
    """Write the page.

    Raises:
        InputError: the path does not end in .html or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    charts = [parts_chart(found), reliability_chart(found), *([style_chart(found)] if found.style.effects else [])]
    drawn = "".join(picture(chart, f"reward{place}") for place, chart in enumerate(charts))
    body = "".join(
        f'<tr><th scope="row" class="name">{escape(label)}</th><td>{escape(words)}</td></tr>'
        for label, words in lines(found)
    )
    table = scrolling(f"<table><tbody>{body}</tbody></table>", "what was measured")
    write_page(path, whole_page(f"The reward {name}", f"<p>{escape(headline(found))}</p>{table}{drawn}"))
