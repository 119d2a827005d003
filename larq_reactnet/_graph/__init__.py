"""Functional and sequential Keras models as graphs of calls, and how to build them again."""
