"""`python -m recon` is `recon`."""

import sys

from recon.cli.main import main

sys.exit(main())
