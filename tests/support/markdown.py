"""What a reader of Markdown sees, by CommonMark with GitHub's tables; and texts that would act in it.

The parser is markdown-it-py, which rich needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from device.safe_text import printable

HOSTILE_TEXTS = (
    "<img src=x onerror=alert(1)>",
    "</details><script>alert(1)</script>",
    "[a](javascript:alert)",
    "![a](http://tracker)",
    "a ](http://b",
    "**b** _c_ ~~d~~ __e__",
    "a|b",
    "a\\|b\\",
    "&lt;i&gt; &#60;",
    "# h",
    "x\n\n## y\n- z",
    "`c",
    "a`<b>`c ``<i>`` \\`<u>\\`",
    "` <b> `",
    "\x1b[31m",
)
ACTS = ("html_inline", "html_block", "em_open", "s_open")


@dataclass(frozen=True)
class Shown:
    """What is seen of a document."""

    kinds: tuple[str, ...]  # of all tokens
    text: str
    acts: list[str]  # tags and emphasis, and where links and pictures lead


def as_shown(text: str) -> str:
    """Return text from elsewhere as it is to be seen: on one line, without what a terminal acts on."""
    return printable(" ".join(text.split()))


def shown(document: str) -> Shown:
    """Return what is seen of a document in Markdown."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = bool  # type: ignore[assignment, method-assign]  # some readers show any address as a link
    tokens = list(_all(parser.parse(document)))
    targets = [str(target) for token in tokens for name, target in token.attrs.items() if name in ("href", "src")]
    return Shown(
        tuple(token.type for token in tokens),
        "".join("\n" if token.type == "inline" else token.content for token in tokens if _is_text(token)).strip(),
        [token.type for token in tokens if token.type in ACTS] + targets,
    )


def _is_text(token: Token) -> bool:
    return token.type in ("inline", "text", "text_special", "code_inline", "html_inline", "html_block")


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])
