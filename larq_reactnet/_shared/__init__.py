# The original is in larq_reactnet/_shared of larq-reactnet. `make copies` copies it, as it is, to
# runtime/python/larq_reactnet_runtime/_shared: change the original, and then make the copies.
"""What larq-reactnet and larq-reactnet-runtime both need: how files and photos are read.

Each of the two packages has these files, so that neither needs the other. They import NumPy and
each other only, Pillow where a photo is read, and run with Python 3.9, as the runtime does.
"""
