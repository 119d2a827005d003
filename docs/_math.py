r"""LaTeX in pages and docstrings becomes MathML while the site is built, so no script is needed.

Docstrings write \\(...\\) and \\[...\\] with two backslashes, as Larq's do; one is enough in pages.
"""

import re
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor

__all__ = ["LatexExtension", "to_mathml"]

_INLINE = r"(?<!\\)(\\{1,2})\((.+?)(?<!\\)\1\)"
_BLOCK = r"(?<!\\)(\\{1,2})\[(.+?)(?<!\\)\1\]"
# A function like log is not glued to a factor before it, nor to an argument without parentheses.
_FUNCTION = r"<mi>[a-z]{2,}</mi>(?!<mo stretchy=\"false\">&#x00028;)"
_FACTOR = r"</mi>(?=<mi>[a-z]{2,}</mi>)"
_SPACE = '<mspace width="0.167em" />'

_AFTER_CODE_AND_BEFORE_ESCAPES = 185


def to_mathml(latex: str, display: str = "inline") -> str:
    r"""A `<math>` element.

    Args:
        latex: What is between the delimiters. Three backslashes are a new line, because Larq's
            pages read two of them as an escaped one.
        display: "inline" or "block".
    """
    latex = " ".join(latex.replace(r"\\\ ", r"\\ ").replace("\\\\\\\n", "\\\\\n").split())
    mathml = re.sub(_FUNCTION, rf"\g<0>{_SPACE}", convert(latex, display=display))
    return re.sub(_FACTOR, rf"\g<0>{_SPACE}", mathml)


class _Latex(InlineProcessor):
    def __init__(self, pattern: str, md: Markdown, display: str):
        super().__init__(pattern, md)
        self.compiled_re = re.compile(pattern, re.DOTALL)
        self.display = display

    def handleMatch(  # noqa: N802
        self, m: re.Match[str], data: str
    ) -> tuple[Element | str, int, int]:
        mathml = to_mathml(m[2], self.display)
        return self.md.htmlStash.store(mathml), m.start(0), m.end(0)


class LatexExtension(Extension):
    """Renders LaTeX to MathML."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Enter the two patterns."""
        for name, pattern, display in (("inline", _INLINE, "inline"), ("block", _BLOCK, "block")):
            processor = _Latex(pattern, md, display)
            md.inlinePatterns.register(processor, f"latex_{name}", _AFTER_CODE_AND_BEFORE_ESCAPES)
