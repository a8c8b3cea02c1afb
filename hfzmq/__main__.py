"""``python -m hfzmq``: the same as ``hfzmq``."""

import sys

from hfzmq.cli.main import main

sys.exit(main())
