# SPDX-License-Identifier: Apache-2.0
"""The tests against the official specification find its reader beside them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
