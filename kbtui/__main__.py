"""`python -m kbtui` is the `kbtui` command."""

import sys

from kbtui.cli.main import main

sys.exit(main())
