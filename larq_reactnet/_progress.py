"""The progress bar of work that is often too short for one."""

import functools

from tqdm import tqdm

__all__ = ["patient_bar"]

# Shown after two seconds, and gone at the end.
patient_bar = functools.partial(tqdm, delay=2, leave=False)
