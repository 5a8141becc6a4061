"""Moves a cloud to other addresses, in its configuration on this host and in its database."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.addresses import rewrite
from pytest_kollalab.providers.base import CONTROLLER
from pytest_kollalab.system.files import write

# The controller runs this in the database's container before any other client connects.
SCRIPT = "/etc/kollalab/moved/addresses.mariadb"


def statements(columns: Iterable[str], moves: Mapping[str, str]) -> list[str]:
    """The SQL statements that replace the beginnings of addresses.

    Args:
        columns: The columns that contain addresses, as `database.table.column`.
        moves: New beginnings of addresses by old ones. Keys without a dot are ignored.
    """
    found = []
    for column in columns:
        database, table, name = column.split(".")
        changed = name
        for old, new in moves.items():
            if "." not in old:
                continue
            # SQL strings need two backslashes for one.
            pattern = r"\\b" + old.replace(".", "[.]")
            changed = f"REGEXP_REPLACE({changed}, '{pattern}', '{new}')"
        found.append(f"UPDATE {database}.{table} SET {name} = {changed};")
    return found


def script(features: Iterable[Feature], password: str, moves: Mapping[str, str]) -> str:
    """The bash script for the database's container. It keeps the password out of process lists."""
    columns = [column for feature in features for column in feature.addresses]
    lines = "\n".join(statements(columns, moves))
    login = f'[client]\nuser=root\npassword="{password}"\nhost={CONTROLLER}'
    file = f"<(cat <<'LOGIN'\n{login}\nLOGIN\n)"
    return f"mariadb --defaults-extra-file={file} <<'SQL'\n{lines}\nSQL\n"


def files(
    features: Iterable[Feature], password: str, moves: Mapping[str, str]
) -> dict[str, tuple[str, int]]:
    """The files that make the controller move its database: text and mode by path."""
    return {SCRIPT: (script(features, password, moves), 0o600)}


def configuration(old: Path, new: Path, moves: Mapping[str, str]) -> None:
    """Copy a folder of Kolla-Ansible's input and replace its addresses. File modes are kept."""
    shutil.rmtree(new, ignore_errors=True)
    for path in sorted(old.rglob("*")):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            mode = path.stat().st_mode & 0o777
            write(new / path.relative_to(old), rewrite(text, moves), mode)
