"""The package's version, as it was installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("archon-sessions")
    except PackageNotFoundError:  # run from a checkout
        return "0.0.0"


VERSION = _installed()
