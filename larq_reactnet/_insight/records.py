"""The file `insight.jsonl` of a run: one line of JSON for each epoch.

`callbacks.BinaryInsight` says what is in a line. A process that is killed while it writes leaves a
part of a line, which is not read.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

from larq_reactnet._files import write_whole

import numpy as np

__all__ = ["Record", "append", "read", "shares", "to_hex", "trim"]

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """The lines of a file, in their order; none if there is no file.

    Raises:
        ValueError: If a line that is whole is not what is written there.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    found = []
    for number, line in enumerate(lines[:-1], 1):  # behind the last end of a line is nothing
        try:
            record = json.loads(line)
            found.append({**record, "step": int(record["step"]), "epoch": int(record["epoch"])})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is corrupt in line {number}: {error!r}.") from error
    return found


def trim(path: Path, step: int, epoch: int) -> list[Record]:
    """Keep what comes before an epoch of a step, from which a training begins or goes on.

    Returns:
        What is kept.
    """
    kept = [record for record in read(path) if (record["step"], record["epoch"]) < (step, epoch)]
    if path.is_file():
        write_whole(path, "".join(map(_line, kept)))
    return kept


def append(path: Path, record: Record) -> None:
    """Add a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(record))
        file.flush()
        os.fsync(file.fileno())


def to_hex(values: np.ndarray) -> str:
    """Shares, 0 to 1, of channels: two digits each. Only 0 is written 00, and only 1 is ff."""
    inner = np.clip(np.round(values * 255), 1, 254)
    bytes_ = np.select([values <= 0, values >= 1], [0, 255], inner).astype(np.uint8)
    return bytes_.tobytes().hex()


def shares(text: str) -> np.ndarray:
    """The shares that `to_hex` was given, to within 1/255."""
    return np.frombuffer(bytes.fromhex(text), np.uint8) / 255


def _line(record: Record) -> str:
    return json.dumps(_short(record), separators=(",", ":"), allow_nan=False) + "\n"


def _short(value: Any) -> Any:
    """The same with five digits of each number. JSON has no NaN: `null` stands for it."""
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
