"""Tests that convert networks need larq_reactnet and TensorFlow; the others do without."""

import importlib.util

HAS_CONVERTER = importlib.util.find_spec("larq_reactnet") is not None
NEED_IT = ["test_fusion.py", "test_ops.py", "test_refusals.py", "test_types.py"]
collect_ignore = [] if HAS_CONVERTER else NEED_IT


def pytest_report_header():
    return None if HAS_CONVERTER else f"without larq_reactnet: no {', '.join(NEED_IT)}"
