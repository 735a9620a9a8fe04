"""The project's home directory, where a work directory keeps what is no artifact."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """GEOVR_HOME, or .geovr in the work directory."""
    return Path(os.environ.get("GEOVR_HOME", ".geovr")).resolve()
