"""Markdown to HTML that is safe to show, whole or while it grows.

markdown-it-py parses (raw HTML off), pygments colours code, latex2mathml turns formulas into MathML, and nh3 lets pass
only what is listed here. Headings are demoted below the page's own, images become links (loading one would tell a
stranger who is reading), links open elsewhere and carry no referrer. Half a formula, which every stream passes
through, is shown as its source.

`BlockStream` renders a growing text: only the last top-level block is open and parsed again; a closed block is never
touched before the end, when the whole is rendered once more, exactly (a link defined at the bottom may be used above).
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import nh3
import pygments
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

_HIGHEST_HEADING = 3
_LOWEST_HEADING = 6
_LONGEST_COLOURED = 8_000
_LONGEST_LINE_COLOURED = 400
"""No person wrote a longer line of code, and within one line a lexer may be quadratic with nobody to stop it."""
_COLOURING_S = 0.15
"""Code beyond what can be coloured in so much processor time is shown without colours: some lexers are quadratic in
some texts."""
_DEEPEST = 40
_LONGEST_OPEN = 16_000
"""A longer open block is shown as plain text until it closes: nobody can make every update parse a novel."""

_LONG_LINE = re.compile(rf"[^\n]{{{_LONGEST_LINE_COLOURED + 1}}}")

_PLAIN = re.compile(r"[^\s*_`#>|$\\~<&!\[\]()+\-=:;@/.\d][^*_`#>|$\\~<&!\[\]\n:@/]*")
"""One line without a character that means something in Markdown."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
"""A line as the parser counts them; str.splitlines knows more kinds."""

_MATHML = (
    "math mrow mi mo mn ms mtext mspace msup msub msubsup mfrac msqrt mroot mover munder munderover mtable mtr mtd "
    "mstyle mpadded mphantom menclose"
)
_TEXT = "p br hr h3 h4 h5 h6 strong em s code pre blockquote ul ol li table thead tbody tr th td a span div"
_TAGS = {*_TEXT.split(), *_MATHML.split()}
_MATH_LOOKS = (
    "display mathvariant stretchy fence separator accent lspace rspace width height depth linethickness columnalign "
    "rowspacing columnspacing displaystyle scriptlevel notation form movablelimits largeop symmetric minsize maxsize"
)
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title", "target"},
    "code": {"class"},
    "span": {"class"},
    "div": {"class", "tabindex", "role", "aria-label"},
    "th": {"class"},
    "td": {"class"},
    "ol": {"start"},
    **{tag: set(_MATH_LOOKS.split()) for tag in _MATHML.split()},
}


def render(text: str) -> str:
    """The safe HTML of a whole Markdown text."""
    return "".join(_blocks(text))


def highlight_css() -> str:
    """The colours of code, light and dark, by the system's preference or the page's `data-theme`."""
    light = HtmlFormatter(style="xcode", nobackground=True)
    dark = HtmlFormatter(style="one-dark", nobackground=True)
    return "\n".join(
        [
            light.get_style_defs(".code"),
            "@media (prefers-color-scheme: dark) {",
            dark.get_style_defs(":root:not([data-theme=light]) .code"),
            "}",
            dark.get_style_defs(":root[data-theme=dark] .code"),
        ]
    )


class BlockStream:
    """The blocks of a growing Markdown text."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._open_at = 0
        """Where in the text the open block, the last one, begins."""
        self._slow = False
        """Whether the open block took too long to colour; it is then not coloured again before the end."""

    def update(self, text: str) -> list[tuple[int, str]]:
        """Render what has grown; returns (index, HTML) of every block that changed.

        Args:
            text: the whole text so far, which begins with the text of the last call.
        """
        first = max(len(self.blocks) - 1, 0)
        tail = text[self._open_at :]
        simple = _PLAIN.fullmatch(tail) or len(tail) > _LONGEST_OPEN
        rendered = [_paragraph(tail)] if simple else self._parse_tail(tail)
        return self._replace(first, rendered)

    def finish(self, text: str) -> list[tuple[int, str]]:
        """Render the whole text exactly; returns the blocks that differ from what was shown."""
        rendered = _blocks(text)
        del self.blocks[len(rendered) :]
        return self._replace(0, rendered)

    def _parse_tail(self, tail: str) -> list[str]:
        groups, env = _parse(tail)
        env["colouring_s"] = _COLOURING_S if self._slow else 0.0
        rendered = [_to_html(group, env) for group in groups]
        if groups:
            lines = _LINE.findall(tail)
            closed = sum(map(len, lines[: (groups[-1][0].map or [0])[0]]))
            self._slow = env["colouring_s"] >= _COLOURING_S and not closed
            self._open_at += closed
        return rendered

    def _replace(self, first: int, rendered: Sequence[str]) -> list[tuple[int, str]]:
        changed = []
        for index, block in enumerate(rendered, start=first):
            if index == len(self.blocks):
                self.blocks.append("")
            if self.blocks[index] != block:
                self.blocks[index] = block
                changed.append((index, block))
        return changed


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text.strip(), quote=False)}</p>\n"


def _blocks(text: str) -> list[str]:
    groups, env = _parse(text)
    return [_to_html(group, env) for group in groups]


def _parse(text: str) -> tuple[list[list[Token]], dict[str, Any]]:
    """The tokens of each top-level block."""
    env: dict[str, Any] = {}
    groups: list[list[Token]] = []
    for token in _parser().parse(text, env):
        if token.level == 0 and token.nesting >= 0:
            groups.append([])
        groups[-1].append(token)
    return groups, env


def _to_html(tokens: list[Token], env: dict[str, Any]) -> str:
    parser = _parser()
    return _cleaner().clean(parser.renderer.render(tokens, parser.options, env))


@cache
def _cleaner() -> nh3.Cleaner:
    """What lets only the listed tags pass; making one takes as long as cleaning a page."""
    return nh3.Cleaner(
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": True, "maxNesting": _DEEPEST})
    parser.enable(["table", "strikethrough", "linkify"])
    parser.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True, renderer=_formula)
    parser.use(texmath_plugin, delimiters="brackets")
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link)
    parser.add_render_rule("table_open", lambda *_: f'<div {_SCROLLS} aria-label="Table"><table>\n')
    parser.add_render_rule("th_open", _cell)
    parser.add_render_rule("td_open", _cell)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    for kind in ("math_inline", "math_inline_double", "math_single"):
        parser.add_render_rule(
            kind, lambda _, tokens, index, *__: _formula(tokens[index].content, {"display_mode": False})
        )
    for kind in ("math_block", "math_block_eqno", "math_block_label"):
        parser.add_render_rule(
            kind, lambda _, tokens, index, *__: _formula(tokens[index].content, {"display_mode": True})
        )
    return parser


_SCROLLS = 'class="scroll" tabindex="0" role="group"'


def _heading(_: RendererHTML, tokens: Sequence[Token], index: int, *__: object) -> str:
    level = min(max(int(tokens[index].tag[1]) + 1, _HIGHEST_HEADING), _LOWEST_HEADING)
    return f"<h{level}>" if tokens[index].nesting > 0 else f"</h{level}>\n"


def _code(_: RendererHTML, tokens: Sequence[Token], index: int, __: object, env: dict[str, Any]) -> str:
    """A block of code, coloured where its language is known; the page's script adds the button that copies it."""
    token = tokens[index]
    language = (token.info.split() or [""])[0][:30]
    label = f'<span class="language">{html.escape(language)}</span>' if language else ""
    name = html.escape(f"Code, {language}" if language else "Code", quote=True)
    body = f"<pre><code>{_coloured(token.content, language, env)}</code></pre>"
    return f'<div class="code">{label}<div {_SCROLLS} aria-label="{name}">{body}</div></div>\n'


def _coloured(code: str, language: str, env: dict[str, Any]) -> str:
    """Code as HTML. `env["colouring_s"]` is the time that this text's code has taken; when it is up, so are colours."""
    plain = html.escape(code, quote=False)
    started, spent = time.thread_time(), env.get("colouring_s", 0.0)
    if not language or spent >= _COLOURING_S or len(code) > _LONGEST_COLOURED or _LONG_LINE.search(code):
        return plain
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return plain
    tokens = []
    for token in lexer.get_tokens(code):
        tokens.append(token)
        env["colouring_s"] = spent + time.thread_time() - started
        if env["colouring_s"] >= _COLOURING_S:
            return plain
    return pygments.format(tokens, HtmlFormatter(nowrap=True))


def _image(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:  # noqa: ANN401 - the library's signature
    token = tokens[index]
    words = renderer.renderInlineAsText(token.children or [], options, env) or "image"
    return f'<a href="{html.escape(str(token.attrGet("src")), quote=True)}" target="_blank">{html.escape(words)}</a>'


def _link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:  # noqa: ANN401 - the library's signature
    tokens[index].attrSet("target", "_blank")
    return renderer.renderToken(tokens, index, options, env)


def _cell(_: RendererHTML, tokens: Sequence[Token], index: int, *__: object) -> str:
    """A cell; its alignment as a class, since the pages allow no style attribute."""
    side = str(tokens[index].attrGet("style") or "").removeprefix("text-align:")
    return f'<{tokens[index].tag} class="{side}">' if side in {"left", "center", "right"} else f"<{tokens[index].tag}>"


def _formula(source: str, options: dict[str, Any]) -> str:
    """MathML, or the source where it is no formula (yet)."""
    display = bool(options.get("display_mode"))
    try:
        mathml = convert(source, display="block" if display else "inline")
    except Exception:  # noqa: BLE001 - the converter raises whatever it stumbles over
        shown = f'<code class="formula">{html.escape(source.strip(), quote=False)}</code>'
        return f"<p>{shown}</p>\n" if display else shown
    return f'<div {_SCROLLS} aria-label="Formula">{mathml}</div>\n' if display else mathml
