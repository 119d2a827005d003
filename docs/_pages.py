"""Pages that are made of files which are also read elsewhere: notebooks, changelog, runtime."""

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["from_notebook", "made"]

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "docs" / "notebooks"
# Lines of a text output that is shown; the rest is the progress of a training.
_LONGEST = 40
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[^\n]*\x08|[^\n]*\r(?!\n)")


def made() -> dict[str, str]:
    """The Markdown of each page, by its path in the site."""
    pages = {
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(),
        "runtime.md": (ROOT / "runtime" / "README.md").read_text(),
    }
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        pages[f"notebooks/{path.stem}.md"] = from_notebook(json.loads(path.read_text()))
    return pages


def from_notebook(notebook: dict[str, Any]) -> str:
    """A notebook as Markdown: its text, its code, and the text that the code printed."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        printed = "".join(map(_text, cell["outputs"])).rstrip()
        if printed:
            parts.append(f"```text\n{_shortened(printed)}\n```")
        parts += filter(None, map(_picture, cell["outputs"]))
    return "\n\n".join(parts) + "\n"


def _text(output: dict[str, Any]) -> str:
    """What an output says as plain text; nothing if it is a picture."""
    if output["output_type"] == "stream":
        return "".join(output["text"]) if output["name"] == "stdout" else ""
    data = output.get("data", {})
    return "" if "image/png" in data else "".join(data.get("text/plain", "")) + "\n"


def _picture(output: dict[str, Any]) -> str:
    png = "".join(output.get("data", {}).get("image/png", "")).replace("\n", "")
    return f'<img alt="Output of the cell above" src="data:image/png;base64,{png}">' if png else ""


def _shortened(text: str) -> str:
    """`text` as a terminal shows it in the end, without the middle of what is very long."""
    lines = _ESCAPES.sub("", text).splitlines()
    if len(lines) > _LONGEST:
        half = _LONGEST // 2
        lines = [*lines[:half], "...", *lines[-half:]]
    return "\n".join(lines)
