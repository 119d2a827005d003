"""Tests that convert networks need larq_reactnet and TensorFlow; the others do without."""

import importlib.util

HAS_CONVERTER = importlib.util.find_spec("larq_reactnet") is not None
collect_ignore = [] if HAS_CONVERTER else ["test_ops.py"]


def pytest_report_header():
    return None if HAS_CONVERTER else "without larq_reactnet: test_ops.py is left out"
