"""`python -m audit`: see `report.py`."""

import sys

from audit.report import main

sys.exit(main())
