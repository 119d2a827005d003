"""Pages in a browser: how they are laid out on a phone, light and dark."""

import json
import re
import shutil
import subprocess
from html import escape

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
SCHEMES = [(1, "rgb(251, 251, 250)"), (0, "rgb(21, 23, 26)")]  # and the background of a page

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed"
)

MEASURE = """
<iframe id="frame" style="width:390px;height:2000px" srcdoc="{page}"></iframe><script>
frame.onload = () => {{
  const page = frame.contentDocument, all = [...page.querySelectorAll("body *")];
  const wide = all.filter(e => !e.closest(".scroll, svg") && e.getBoundingClientRect().right > 391);
  document.body.textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    wide: wide.map(e => e.outerHTML.slice(0, 80)),
    images: [...page.images].map(i => i.naturalWidth),
    background: getComputedStyle(page.body).backgroundColor,
    small: all.filter(e => e.childElementCount == 0 && e.textContent.trim() &&
      !e.closest("svg, title") && parseFloat(getComputedStyle(e).fontSize) < 11).length,
    curves: [...page.querySelectorAll("svg .line")].filter(e => e.getTotalLength() > 20).length,
  }});
}};
</script>
"""


def assert_fits(found, background):
    """Nothing is wider than the page, cut off or too small, and the colours are the scheme's."""
    assert found["wide"] == []
    assert found["width"] <= 390
    assert min(found["images"]) > 0
    assert found["background"] == background
    assert found["small"] == 0


def measured(page, tmp_path, scheme):
    """What a browser makes of a page at the width of a phone."""
    (tmp_path / "measure.html").write_text(MEASURE.format(page=escape(page)), encoding="utf-8")
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=600,2100"),
        *(f"--blink-settings=preferredColorScheme={scheme}", f"file://{tmp_path}/measure.html"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(re.search(r"<body[^>]*>(\{.*\})</body>", done.stdout, re.DOTALL)[1])
