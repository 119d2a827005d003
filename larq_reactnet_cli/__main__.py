"""`python -m larq_reactnet_cli`."""

from larq_reactnet_cli import main

main()
