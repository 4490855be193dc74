"""``python -m catclf``."""

import sys

from catclf.cli import main

sys.exit(main())
