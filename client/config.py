"""What this installation is, where its data belong and what it adds to its environment. Asks nothing at import."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path

from client.language import said

APPLICATION = "health-helper"
_ours: set[str] = set()


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


def store_folder() -> Path:
    """Where the encrypted store lies. It may not exist yet."""
    return data_folder() / "store"


def repair() -> str:
    """What to do where a part of this installation is missing or broken: a frozen one has no set-up to be run again."""
    if getattr(sys, "frozen", False):
        return said("Install Health Helper again.")
    return said("Run 'make setup' (without make: 'python packaging/setup.py setup') and try again.")


def set_default(name: str, value: str) -> None:
    """Put a setting of a library into the environment of this process, unless the person has set it."""
    if name not in os.environ:
        os.environ[name] = value
        _ours.add(name)


def persons_environment() -> dict[str, str]:
    """The environment without what `set_default` put there: for programs that are none of ours."""
    return {name: value for name, value in os.environ.items() if name not in _ours}


def preferences_file() -> Path:
    """Where the window keeps what was chosen in its settings. It may not exist yet."""
    from platformdirs import user_config_path

    return user_config_path(APPLICATION, appauthor=False) / "window.ini"


def policy_file() -> Path:
    """Where whoever manages this computer says how the program is used (client.policy). It may not exist.

    That of the system counts. Only where it has none, the environment's HEALTH_HELPER_POLICY names one.
    """
    of_system = [folder / "policy.toml" for folder in _site_folders()]
    for file in of_system:
        if os.path.lexists(file):  # one that may not be read is there all the same
            return file
    return named_policy_file() or of_system[0]


def named_policy_file() -> Path | None:
    """The one that the environment names, which then has to be there."""
    named = os.environ.get("HEALTH_HELPER_POLICY")
    return Path(named) if named else None


def _site_folders() -> list[Path]:
    """For all who use this computer. Under Linux /etc/xdg whatever XDG_CONFIG_DIRS says: who is managed sets their own environment."""
    from platformdirs import site_config_path

    folders = [site_config_path(APPLICATION, appauthor=False)]
    if sys.platform.startswith("linux"):
        folders.insert(0, Path("/etc/xdg") / APPLICATION)
    return folders


def assets() -> Traversable:
    """Translations and the like: beside the packages in a checkout and in a frozen application."""
    return Path(__file__).resolve().parent.parent / "assets"


def has_display() -> bool:
    """Whether a window can be shown: always on Windows and macOS; under Linux where X or Wayland is named."""
    names = ("DISPLAY", "WAYLAND_DISPLAY")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)
