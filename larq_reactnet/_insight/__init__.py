"""What `callbacks.BinaryInsight` looks at, and the file in which a run keeps it.

The file is read by `training.report`, too.
"""
