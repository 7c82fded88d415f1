"""What is tried: the wheel, installed outside the tree, as `make test` does, or the tree itself."""

from __future__ import annotations

import os
import sys

PYTHON = os.environ.get("LLAMACTL_TEST_PYTHON", sys.executable)
