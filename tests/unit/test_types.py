"""The types that a project's own tests see: no Any where a word has a meaning."""

from __future__ import annotations

import inspect
import typing

import testinfra
import testinfra.modules

from pytest_kollalab.features.bgpvpn.words import Bgpvpn
from pytest_kollalab.plugin import host
from pytest_kollalab.plugin.fixtures import Node
from pytest_kollalab.sdn.tenant.tenant import Tenant

# What a module of testinfra is called as an attribute of its host.
MODULES = {
    "file": host.File,
    "service": host.Service,
    "interface": host.Interface,
    "addr": host.Address,
    "socket": host.Socket,
    "package": host.Package,
    "docker": host.Container,
    "user": host.Account,
    "system_info": host.SystemInfo,
}


def test_no_word_takes_anything() -> None:
    for word in (Tenant.server, Bgpvpn.l2, Bgpvpn.l3):
        for parameter in inspect.signature(word).parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty or parameter.name == "self"
            assert "Any" not in str(parameter.annotation), f"{word.__qualname__}: {parameter}"
    assert inspect.get_annotations(vars(Node)["host"].func)["return"] == "Host"


def test_testinfra_has_what_the_types_promise() -> None:
    there = {name for name in vars(host.Host) if not name.startswith("_")}
    methods = {name for name in there if hasattr(testinfra.host.Host, name)}
    assert there - methods <= set(testinfra.modules.modules)
    for name, protocol in MODULES.items():
        module = testinfra.modules.get_module_class(name)
        promised = {*typing.get_type_hints(protocol), *vars(protocol)}
        missing = {
            each for each in promised if not each.startswith("_") and not hasattr(module, each)
        }
        assert missing <= {"linked_to"}, f"{name}: {missing}"
