"""The words of the greeter: what scenarios say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@dataclass(frozen=True)
class Greeter:
    """The greeter as a tenant finds it: by its address in the catalogue."""

    tenant: Tenant
    greeting: str

    def greets(self, node: str) -> None:
        """The tenant is greeted, from this node. Raises AssertionError with what was said."""
        address = self.tenant.cloud.session.get_endpoint(service_type="greeting")
        answer = self.tenant.cloud.session.get(str(address)).text.strip()
        assert answer == f"{self.greeting} from {node}", f"the greeter said: {answer}"
