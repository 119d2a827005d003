"""`python -m larq_reactnet_runtime` is the command `larq-reactnet-runtime`."""

import sys

from larq_reactnet_runtime.cli import main

sys.exit(main())
