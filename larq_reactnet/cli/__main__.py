"""`python -m larq_reactnet.cli`."""

from larq_reactnet.cli import main

main()
