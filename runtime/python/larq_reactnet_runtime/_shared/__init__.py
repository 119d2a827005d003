"""Code that larq-reactnet and larq-reactnet-runtime both need: how files and photos are read."""
