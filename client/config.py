"""What this installation is and where its data belong. Asks nothing of the machine at import."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

APPLICATION = "health-helper"


def version() -> str:
    """The installed version, or "unknown" where the package was never installed."""
    try:
        return metadata.version(APPLICATION)
    except metadata.PackageNotFoundError:
        return "unknown"


def data_folder() -> Path:
    """Where this person's data belong on this system. It may not exist yet; nothing is created here."""
    from platformdirs import user_data_path

    return user_data_path(APPLICATION, appauthor=False)
