"""`python -m oarpipe` is `oarpipe`."""

import sys

from oarpipe.cli import main

sys.exit(main())
