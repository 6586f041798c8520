"""Markdown that strangers wrote: safe whatever it holds, the same streamed as whole, never slow enough to matter."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaestra.pictures.markdown import BlockStream, highlight_css, render

ANSWER = """# A lesson

Some *emphasis*, **strength**, ~~a mistake~~ and `code`. See https://example.org/a?b=1&c=2 and [this][ref].

1. one
2. two
   - deeper

| left | right |
|:-----|------:|
| a    | $x^2$ |

```python
def f(x: float) -> float:
    return x ** 2  # <b>
```

> quoted

$$
\\sum_{k=1}^n k = \\frac{n(n+1)}{2}
$$

The odds are \\(10^{d/400}\\), and it costs $5 or $6.

[ref]: https://example.org/ref "A title"
"""

MARKS = "# |**|*|`|```|```js\n|$|$$|\\(|\\)|\\[|\n|\n\n|- |1. |> |    |{|}|^|_|&|\\|\x00|\u202e|😀|word ".split("|")  # noqa: SIM905 - reads better
TABLES = ["|", "|-|-|\n"]
HOSTILE = "<script>alert(1)</script> <img/src=x/onerror=alert(1)> <!-- ]]> &lt; &#106; <svg/onload=1> [a](javascript:1)"
LINKS = "![p](https://evil.example/p.png) [a]:data:text/html,x [a] <https://e.org> \\frac{1}{2} \\href{javascript:1}{x}"
fragments = st.sampled_from([*MARKS, *TABLES, *HOSTILE.split(), *LINKS.split(), "\\begin{matrix}"])
texts = st.lists(fragments | st.text(max_size=8), max_size=40).map("".join)


class Dangers(HTMLParser):
    """Collects what must not be in an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {
            "script",
            "style",
            "img",
            "iframe",
            "object",
            "svg",
            "form",
            "input",
            "link",
            "meta",
            "base",
            "template",
        }:
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in {"style", "id", "src", "srcset", "formaction"}:
                self.found.append(f"{tag} {name}")
            if name == "href" and not re.match(r"(https?:|mailto:|[^:]*$|[^:]*[/?#])", value or ""):
                self.found.append(f"{tag} {name}={value}")


def dangers(html: str) -> list[str]:
    parser = Dangers()
    parser.feed(html)
    return parser.found


def test_what_an_answer_looks_like() -> None:
    html = render(ANSWER)
    assert "<h3>A lesson</h3>" in html
    assert "<em>emphasis</em>, <strong>strength</strong>, <s>a mistake</s>" in html
    assert '<td class="right"><math' in html
    assert '<span class="k">def</span>' in html
    assert "&lt;b&gt;" in html
    assert html.count("<math") == 3
    assert "costs $5 or $6" in html
    links = re.findall(r"<a [^>]*>", html)
    assert len(links) == 2
    assert all('rel="noopener noreferrer nofollow"' in link and 'target="_blank"' in link for link in links)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_no_text_is_dangerous(text: str) -> None:
    assert dangers(render(text)) == []


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_streamed_and_whole_are_the_same_in_the_end(text: str, steps: list[int]) -> None:
    """Applied one after the other, as the page does it, the updates make what a page loaded later shows."""
    stream, at = BlockStream(), 0
    page: dict[int, str] = {}
    for step in steps:
        at += step
        page.update(stream.update(text[:at]))
        assert dangers("".join(page.values())) == []
        assert [page[index] for index in range(len(stream.blocks))] == stream.blocks
    page.update(stream.finish(text))
    shown = "".join(page[index] for index in range(len(stream.blocks)))
    assert shown == render(text) == "".join(stream.blocks)


def test_streaming_renders_each_block_once_it_is_closed() -> None:
    """What stands above the open block is never sent again."""
    stream, sent = BlockStream(), 0
    text = ANSWER.replace("[this][ref]", "this").replace('[ref]: https://example.org/ref "A title"\n', "") * 20
    for at in range(0, len(text), 40):
        sent += sum(len(html) for _, html in stream.update(text[:at]))
    final = sum(len(html) for _, html in stream.finish(text))
    assert len(stream.blocks) > 100
    assert final < len(render(text)) / 4
    assert sent < 12 * len(render(text))


LONG = {
    "[": 5000,
    "> ": 3000,
    "*a ": 5000,
    "`": 9000,
    "$": 9000,
    "\\[": 4000,
    "|": 9000,
    "- ": 3000,
    "<": 9000,
    "![": 4000,
}
LONGER = {"\\frac{": 2000, "${": 3000, "((": 4000, "https://": 1500, "a\n": 5000, "*_": 4000, "|-\n": 4000, "~~": 4000}


@pytest.mark.parametrize("mark", [*LONG, *LONGER])
def test_nothing_takes_long(mark: str) -> None:
    """A bound loose enough for a busy machine; what it guards against takes minutes."""
    text = mark * (LONG | LONGER)[mark]
    started = time.process_time()
    stream = BlockStream()
    for at in range(0, len(text), 2000):
        stream.update(text[:at])
    stream.finish(text)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("language", ["autohotkey", "gherkin"])
def test_code_that_takes_long_to_colour_is_shown_without_colours(language: str) -> None:
    """These lexers are quadratic in blank lines: many seconds for what a page shows in one line."""
    text = f"```{language}\n" + "\n " * 3900
    started = time.process_time()
    stream = BlockStream()
    for at in range(0, len(text), 500):
        stream.update(text[:at])
    stream.finish(text + "\n```\n\n```python\nimport this\n```")
    assert time.process_time() - started < 5
    assert "import this" in re.sub(r"<[^>]+>", "", stream.blocks[-1])


@pytest.mark.parametrize(
    ("code", "coloured"), [("a" * 380, True), ("a" * 400, False), ("a\n" * 3900, True), ("a\n" * 4000, False)]
)
def test_long_lines_and_long_blocks_are_not_coloured(
    code: str, monkeypatch: pytest.MonkeyPatch, *, coloured: bool
) -> None:
    monkeypatch.setattr("palaestra.pictures.markdown._COLOURING_S", 60.0)  # lengths alone, on a busy machine too
    assert ("<span class=" in render(f"```python\nimport this  # {code}\n```").partition("<pre>")[2]) == coloured


def test_an_open_block_of_code_keeps_its_colours_while_it_grows() -> None:
    stream = BlockStream()
    for text in (
        "```python\nimport this",
        "```python\nimport this\n```\n\nand",
        "```python\nimport this\n```\n\nand so on",
    ):
        stream.update(text)
        assert '<span class="kn">import</span>' in stream.blocks[0]
    assert stream.blocks[1] == "<p>and so on</p>\n"


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x0b", "\x0c", "\r", "\r\n", "\n"])
def test_lines_are_counted_as_the_parser_counts_them(mark: str) -> None:
    text = f"one{mark}two{mark}three\n\nsecond *x*\n\nthird *y*"
    stream = BlockStream()
    for at in range(1, len(text) + 1):
        stream.update(text[:at])
    assert len(stream.blocks) == 3
    assert "".join(stream.blocks).count("three") == 1


def test_colours_for_light_and_dark() -> None:
    css = highlight_css()
    assert "prefers-color-scheme: dark" in css
    assert ":root[data-theme=dark] .code .k" in css
    assert css.count("{") == css.count("}")
