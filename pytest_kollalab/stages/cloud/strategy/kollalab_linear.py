"""Ansible's strategy `linear` over Mitogen: modules run in a Python that stays up on each node.

Ansible loads this file by its path, in the virtual environment of the stage `tools`. Mitogen
0.3.54 looks for what a module imports at its top only (`mitogen.imports.codeobj_imports`), and
Kolla-Ansible's modules import what works with their container engine when they know which it is.
It also splits the path of this host's Python at spaces (`transport_config.parse_python_path`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, SimpleNamespace
from typing import Any

import ansible_mitogen.loaders
import ansible_mitogen.module_finder
import ansible_mitogen.strategy
import ansible_mitogen.transport_config
from mitogen.imports import codeobj_imports

Import = tuple[int, str, tuple[str, ...]]
# What is found is also imported on the node, where the other engine's library is not.
OTHER_ENGINE = "podman"


def imports(code: CodeType) -> Iterator[Import]:
    """The imports of a module and of the functions in it: level, module, names."""
    yield from codeobj_imports(code)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from (found for found in imports(each) if OTHER_ENGINE not in found[1])


def python_argv(path: str | None, *args: Any, **options: Any) -> Any:
    """The command of an interpreter. This process's own, for tasks on this host, is one word."""
    return [path] if path == sys.executable else split_python_path(path, *args, **options)


split_python_path = ansible_mitogen.transport_config.parse_python_path
ansible_mitogen.transport_config.parse_python_path = python_argv
ansible_mitogen.module_finder.mitogen = SimpleNamespace(
    imports=SimpleNamespace(codeobj_imports=imports)
)
Linear: Any = ansible_mitogen.loaders.strategy_loader.get("linear", class_only=True)


class StrategyModule(ansible_mitogen.strategy.StrategyMixin, Linear):  # type: ignore[misc]
    """What Ansible looks for in the file of a strategy."""
