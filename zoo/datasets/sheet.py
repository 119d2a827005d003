"""A data set as a page for the browser: its classes, and some of its images as a network sees them.

All pictures are part of the page, which loads nothing.
"""

from html import escape

from larq_reactnet._page import page
from larq_reactnet._pictures import address
from larq_reactnet.zoo.datasets.surveying import Overview

import numpy as np

__all__ = ["sheet"]

IMAGES = 4  # of a class, for training and for tests each
_STYLE = """
.sheet { display: grid; gap: .25rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.sheet section { min-width: 0; }
.sheet h3 { margin: .8rem 0 .2rem; font-size: .95rem; font-weight: 600; overflow-wrap: anywhere; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: .3rem; margin: .1rem 0 .4rem; }
.row img { width: 100%; border-radius: 4px; display: block; image-rendering: auto; }
.facts td:first-child { width: 34%; color: var(--quiet); }
.facts td, .classes td, .warn { overflow-wrap: anywhere; }
.classes td + td, .classes th + th { text-align: right; width: 22%; }
.warn { color: var(--float); font-weight: 600; }
"""


def sheet(found: Overview, classes: int) -> str:
    """The page.

    Args:
        found: Of the data set.
        classes: Number of classes whose images are shown, from the first to the last in equal
            steps, if there are more.
    """
    data = found.data
    count = min(classes, data.num_classes)
    labels = sorted({*np.linspace(0, data.num_classes - 1, count).round().astype(int).tolist()})
    facts = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in found.facts()
    )
    warnings = [f'<p class="warn">{escape(text)}</p>' for text in found.warnings]
    parts = [*warnings, f'<table class="facts">{facts}</table>', *_images(found, labels)]
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{train:,}</td><td>{test:,}</td></tr>"
        for name, train, test in found.rows()
    )
    if rows:
        head = "<tr><th>class</th><th>training images</th><th>test images</th></tr>"
        parts += ["<h2>Classes</h2>", f'<table class="classes">{head}{rows}</table>']
    if data.left_out:
        listed = "".join(f'<li class="wrap">{escape(text)}</li>' for text in data.left_out)
        parts += ["<h2>Files left out</h2>", f'<ul class="why">{listed}</ul>']
    return page(data.name, parts, head=f"Data: {data.name}", style=_STYLE)


def _images(found: Overview, labels: list[int]) -> list[str]:
    """A section for each of some classes."""
    pictures: dict[tuple[str, int], list[str]] = {}
    for split in ("test", "train"):
        for label, pixels in found.samples(split, labels, IMAGES):
            pictures.setdefault((split, label), []).append(address(pixels))
    names = found.data.class_names
    sections = []
    for label in labels:
        rows = [
            f'<p class="quiet">{what}</p><div class="row">'
            + "".join(
                f'<img src="{picture}" alt="{escape(names[label])}, {what.lower()}">'
                for picture in pictures[split, label]
            )
            + "</div>"
            for split, what in (("test", "Test"), ("train", "Training, augmented"))
            if (split, label) in pictures
        ]
        sections.append(f"<section><h3>{escape(names[label])}</h3>{''.join(rows)}</section>")
    said = ["As the network sees them, before the normalization."]
    if len(labels) < len(names):
        said.append(f"{len(labels):,} of {len(names):,} classes.")
    if {"mixup", "cutmix"} & found.data.augmentations.keys():
        said.append("They are not mixed here, as those of a training batch are.")
    text = f'<p class="quiet">{" ".join(said)}</p>'
    return ["<h2>Images</h2>", text, f'<div class="sheet">{"".join(sections)}</div>']
