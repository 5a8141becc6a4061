"""OVN's databases, read and written through ovsdbapp."""

from __future__ import annotations

from typing import Any

NORTHBOUND, SOUTHBOUND = ("OVN_Northbound", 6641), ("OVN_Southbound", 6642)
# Seconds for a connection, and for each transaction.
TIMEOUT = 30


class OvnDatabase:
    """A database of OVN. The first use of `api` connects; `close` ends the connection.

    Args:
        name: The name of the database.
        remote: Where it listens, such as `tcp:10.64.1.11:6641`.
    """

    def __init__(self, name: str, remote: str) -> None:
        self.name = name
        self.remote = remote
        self._connection: Any = None
        self._api: Any = None

    @property
    def api(self) -> Any:
        """The API of ovsdbapp for the schema: `OvnNbApiIdlImpl` or `OvnSbApiIdlImpl`.

        Its commands take effect when they are executed: `api.ls_list().execute(check_error=True)`.
        In a map, numbers have to be texts: ovsdbapp leaves out a map with any other value.
        """
        if self._api is None:
            from ovsdbapp.backend.ovs_idl import connection
            from ovsdbapp.schema.ovn_northbound.impl_idl import OvnNbApiIdlImpl
            from ovsdbapp.schema.ovn_southbound.impl_idl import OvnSbApiIdlImpl

            idl = connection.OvsdbIdl.from_server(self.remote, self.name)
            self._connection = connection.Connection(idl, timeout=TIMEOUT)
            known = OvnNbApiIdlImpl if self.name == NORTHBOUND[0] else OvnSbApiIdlImpl
            # ovsdbapp has one connection for a class, for as long as the process runs.
            kind: Any = type(known.__name__, (known,), {"_ovsdb_connection": None})
            # With indices by references it breaks off updates in which a switch is deleted.
            self._api = kind(self._connection, auto_index=False)
        return self._api

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    @property
    def configuration(self) -> int:
        """The number of the configuration in the copy that this process has of the database."""
        (row,) = self.rows(self.table, "nb_cfg")
        return int(row["nb_cfg"])

    @property
    def table(self) -> str:
        """The table with the number of the configuration."""
        return "NB_Global" if self.name == NORTHBOUND[0] else "SB_Global"

    def rows(self, table: str, *columns: str) -> list[dict[str, Any]]:
        """The rows of a table, with all columns or with those that are named.

        They are from this process's copy of the database, which follows it. `Ovn.sync` waits for
        the copy as well.
        """
        found: list[dict[str, Any]] = self.api.db_list(
            table, columns=list(columns) or None
        ).execute(check_error=True)
        return found

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._connection is not None:
            self._connection.stop(TIMEOUT)
            self._connection = self._api = None
