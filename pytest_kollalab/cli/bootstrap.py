"""The verb `bootstrap`: make the host ready for labs."""

from __future__ import annotations

from importlib import resources
from typing import Any

import click

from pytest_kollalab.cli.frame import main, read_settings, setting_options, with_messages
from pytest_kollalab.system.run import become


@main.command()
@setting_options("config", "provider")
@click.option(
    "--list", "listed", is_flag=True, help="Print the command that installs the packages only."
)
@with_messages
def bootstrap(listed: bool, **given: Any) -> None:
    """Install what labs need of this host, and start Docker.

    What is there already is left alone. With the provider `libvirt` it is also what virtual
    machines need. Packages are installed on Debian and Ubuntu; elsewhere it names what is missing,
    and the command that installs it.
    """
    machines = read_settings(**given).options.provider == "libvirt"
    script = str(resources.files("pytest_kollalab.lab") / "bootstrap.sh")
    become(["bash", script, *["--machines"] * machines, *["--list"] * listed])
