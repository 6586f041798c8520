"""The page of an experiment: stands alone, nothing is loaded from anywhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page
from palaestra.posttrain.mixture.charts import effects_chart, foretold_chart, weights_chart
from palaestra.posttrain.mixture.experiment import Mixture
from palaestra.posttrain.mixture.report import headline, lines


def write_mixture_page(path: str | Path, name: str, found: Mixture) -> None:
    """Write the page.

    Raises:
        InputError: the path does not end in .html or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    charts = [weights_chart(found), effects_chart(found), foretold_chart(found)]
    drawn = "".join(picture(chart, f"mixture{place}") for place, chart in enumerate(charts))
    body = "".join(
        f'<tr><th scope="row" class="name">{escape(label)}</th><td>{escape(words)}</td></tr>'
        for label, words in lines(found)
    )
    failed = "".join(f"<li>{escape(one.run.id)}: {escape(one.outcome.error or '')}</li>" for one in found.failed)
    table = scrolling(f"<table><tbody>{body}</tbody></table>", "what was found")
    lost = f"<h2>Runs that failed</h2><ul>{failed}</ul>" if failed else ""
    write_page(path, whole_page(f"The mixture {name}", f"<p>{escape(headline(found))}</p>{table}{drawn}{lost}"))
