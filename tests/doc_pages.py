"""The pages of the documentation and the READMEs, and the blocks of code and commands in them.

A block of Python or of commands is run by the tests, unless the line above it says

    <!-- not run: why not -->

What takes long is shortened for the tests by replacements, which must all be found:

    <!-- in tests: epochs=5 => epochs=1; width=0.25 => width=0.1 -->
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text() for path in sorted(DOCS.rglob("*.md"))}
# What is measured is text that commands have printed, not pages.
PAGES = {page: text for page, text in PAGES.items() if not page.startswith("measured/")}
README = "README.md"
RUNTIME_README = "runtime/README.md"  # which is a page of the site, too
READMES = {name: (ROOT / name).read_text() for name in (README, RUNTIME_README)}
WITH_README = {**READMES, **PAGES}

# The pages of families of networks, whose commands train for hours.
FAMILIES = [
    page
    for page in PAGES
    if page.startswith("zoo/") and page not in ("zoo/index.md", "zoo/recipes.md", "zoo/weights.md")
]

PYTHON, COMMANDS = "python", "sh"
LANGUAGES = {PYTHON, COMMANDS, "text", "c", "kotlin"}

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>not run|in tests): (?P<text>.*?) -->\n+)?"
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Its page.
        line: Number of its first line of code in the page.
        language: What stands behind the fence.
        code: What is in it.
        not_run: Why the tests do not run it, if so.
        changes: Pairs of what the tests replace, and by what.
    """

    page: str
    line: int
    language: str
    code: str
    not_run: str = ""
    changes: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def shortened(self) -> str:
        """The code as the tests run it."""
        code = self.code
        for old, new in self.changes:
            assert old in code, f"{self}: there is no {old!r} to replace"
            code = code.replace(old, new)
        return code

    @property
    def commands(self) -> list[list[str]]:
        """The words of every command, if this is a block of commands."""
        return [words for words in map(_words, _lines(self.code)) if words]

    @property
    def shortened_commands(self) -> list[list[str]]:
        """The same, as the tests run them."""
        return [words for words in map(_words, _lines(self.shortened)) if words]


def _lines(code: str) -> list[str]:
    return code.replace("\\\n", " ").splitlines()


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


def _change(text: str) -> tuple[str, str]:
    old, new = text.split(" => ")
    return old.strip(), new.strip()


def blocks_of(page: str, text: str) -> list[Block]:
    """The blocks of a page."""
    found = []
    for match in _FENCE.finditer(text):
        mark, words = match["mark"], match["text"] or ""
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start("code")) + 1,
                language=match["language"],
                code=match["code"],
                not_run=words if mark == "not run" else "",
                changes=tuple(map(_change, words.split(";"))) if mark == "in tests" else (),
            )
        )
    return found


BLOCKS = [block for page, text in WITH_README.items() for block in blocks_of(page, text)]


def commands(program: str = "larq-reactnet") -> list[tuple[Block, list[str]]]:
    """The arguments of every command `program`, with its block."""
    return [
        (block, words[1:])
        for block in BLOCKS
        if block.language == COMMANDS
        for words in block.commands
        if words[0] == program
    ]
