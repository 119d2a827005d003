"""The part of the page about the test images: the confusion matrix and the surest mistakes."""

from collections.abc import Sequence
from html import escape

from larq_reactnet._pictures import address
from larq_reactnet.training._report.answers import Answers

import numpy as np

__all__ = ["answers_part"]

LARGEST = 20  # classes up to which a matrix is readable
PAIRS = 20


def answers_part(answers: Answers | str) -> str:
    """The confusion matrix, or for many classes what is confused most, and the mistakes.

    `answers` is the reason if there are none.
    """
    if isinstance(answers, str):
        return f'<p class="quiet wrap">Left out: {escape(answers)}</p>'
    said = (
        f'<p class="quiet">{answers.accuracy:.2%} of {answers.images:,} test images got their '
        "class.</p>"
    )
    is_small = len(answers.class_names) <= LARGEST
    return said + (_matrix(answers) if is_small else _pairs(answers)) + _mistakes(answers)


def _matrix(answers: Answers) -> str:
    names, matrix = answers.class_names, answers.confusion
    totals = matrix.sum(axis=1)
    upright = ' class="upright"' if max(map(len, names)) > 3 else ""
    head = "".join(f"<th><span{upright}>{escape(name)}</span></th>" for name in names)
    rows = []
    for index, name in enumerate(names):
        cells = "".join(
            _cell(int(count), count / max(1, totals[index]), index == other)
            for other, count in enumerate(matrix[index])
        )
        right = matrix[index, index] / max(1, totals[index])
        rows.append(f"<tr><th>{escape(name)}</th>{cells}<td>{right:.0%}</td></tr>")
    return (
        '<p class="quiet">Rows are the classes of the images, columns what the network says; the '
        "last column is the share that is right.</p>"
        f'<div class="scroll"><table class="matrix"><thead><tr><th></th>{head}<th></th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, share: float, is_right: bool) -> str:
    if not count:
        return "<td></td>"
    color = "24,160,142" if is_right else "232,98,56"
    alpha = 0.08 + 0.72 * float(np.sqrt(share))
    return f'<td style="background:rgba({color},{alpha:.2f})">{count}</td>'


def _pairs(answers: Answers) -> str:
    wrong = answers.confusion - np.diag(np.diag(answers.confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    found = [divmod(int(index), wrong.shape[1]) for index in order]
    rows = "".join(
        f'<tr><td class="wrap">{escape(answers.class_names[label])}</td>'
        f'<td class="wrap">{escape(answers.class_names[answer])}</td>'
        f"<td>{wrong[label, answer]}</td></tr>"
        for label, answer in found
        if wrong[label, answer]
    )
    if not rows:
        return ""
    return (
        "<table><thead><tr><th>Class of the image</th><th>The network says</th><th>Images</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def _mistakes(answers: Answers) -> str:
    names: Sequence[str] = answers.class_names
    figures = [
        f'<figure><img alt="" src="{address(mistake.pixels)}"><figcaption class="wrap">'
        f"{escape(names[mistake.label])} &rarr; <b>{escape(names[mistake.answer])}</b> "
        f'<span class="quiet">{mistake.score:.1%}</span></figcaption></figure>'
        for mistake in answers.mistakes
    ]
    if not figures:
        return ""
    return (
        '<h3>The surest mistakes</h3><p class="quiet">What the image is, and what the network '
        f'says instead.</p><div class="photos">{"".join(figures)}</div>'
    )
