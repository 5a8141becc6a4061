"""The settings of the greeter."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kollalab.settings.declare import setting


@dataclass(frozen=True)
class GreeterSettings:
    """What the greeter says, and where: the table [greeter] of kollalab.toml."""

    greeting: str = setting("hello", "first word of the answer")
    port: int = setting(8099, "port that it listens at", least=1)
