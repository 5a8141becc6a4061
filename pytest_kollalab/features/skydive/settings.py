"""The settings of Skydive: the table [skydive] of kollalab.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_kollalab.settings.config import Config
from pytest_kollalab.settings.declare import setting
from pytest_kollalab.system.errors import ConfigError

SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class SkydiveConfig:
    """The binary of Skydive, where it cannot be built from Go modules."""

    # Both enter keys through the image that contains the binary.
    binary: str = setting(
        "",
        "binary for the Debian release of the images, by path or URL; default: built here",
        path=True,
        key=False,
    )
    sha256: str = setting("", "SHA-256 of the binary", key=False)

    def __post_init__(self) -> None:
        if self.binary and not SHA256.fullmatch(self.sha256):
            raise ConfigError(
                "skydive.binary needs skydive.sha256",
                details=f"it is {self.sha256!r}",
                hint="write the 64 digits that `sha256sum` prints for the file",
            )


def settings_of(config: Config) -> SkydiveConfig:
    """The settings of Skydive in the configuration. Raises ConfigError."""
    return config.table("skydive", SkydiveConfig)
