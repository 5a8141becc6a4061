"""The feature `skydive`: an analyzer on the controller, an agent on each node."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_kollalab.features.base import Feature, where
from pytest_kollalab.features.image_folders import Given
from pytest_kollalab.features.skydive.settings import SkydiveConfig, settings_of
from pytest_kollalab.releases import golang
from pytest_kollalab.settings.config import Config

HERE = Path(__file__).parent
PORT = 8085
USER, PASSWORD = "skydive", "skydive_api_password"
MODULE = "github.com/skydive-project/skydive"
SOURCE = Path("skydive", "skydive-base", "source")
ALTERNATIVE = "name a binary for it: `binary` and `sha256` under [skydive] in kollalab.toml"
# Address and password are read from the analyzer's file and passed to curl on standard input, so
# that they do not appear in a process list. Both files use the string syntax of JSON.
SETTINGS = "/etc/kolla/skydive-analyzer/skydive.yml"
GRAPH = rf"""{{
    sed -n '/^analyzer:/,/listen:/ s|^ *listen: \(.*\)|url = "http://\1/api/topology"|p' {SETTINGS}
    sed -n 's|^ *skydive: "|user = "{USER}:|p' {SETTINGS}
}} | docker exec -i skydive_analyzer curl -q -sS --fail-with-body --config - \
    --json '{{"GremlinQuery": "G"}}'"""


def version() -> str:
    """The version of Skydive's module that go.mod pins."""
    text = (HERE / "images" / SOURCE / "go.mod").read_text(encoding="utf-8")
    pinned = re.search(rf"^\s*{re.escape(MODULE)} (v\S+)$", text, re.MULTILINE)
    assert pinned is not None
    return pinned[1]


def given(config: Config) -> tuple[Given, ...]:
    """The binary, when the configuration names one."""
    found = settings_of(config)
    if not found.binary:
        return ()
    return (Given(str(SOURCE / "skydive"), found.binary, found.sha256),)


def unsupported_reason(config: Config) -> str | None:
    """Why the binary is not available and cannot be built, or None."""
    binary = settings_of(config).binary
    if binary:
        missing = "://" not in binary and not Path(binary).is_file()
        return f"there is no file {binary}" if missing else None
    why = golang.unsupported_reason(MODULE, version())
    return f"{why}; {ALTERNATIVE}" if why else None


FEATURE = Feature(
    name="skydive",
    requires=("core",),
    control_images=("skydive-analyzer", "skydive-agent"),
    endpoints={"Skydive": f"http://{{management}}:{PORT}"},
    compute_images=("skydive-agent",),
    images_from=(HERE / "images",),
    passwords=("skydive_keystone_password", PASSWORD),
    given=given,
    unsupported_reason=unsupported_reason,
    globals={
        "skydive_analyzer_port": PORT,
        "skydive_agent_port": 8090,
        "skydive_etcd_port": 12379,
    },
    playbooks=(HERE / "playbooks" / "skydive.yml",),
    containers={
        "control": ("skydive_agent", "skydive_analyzer"),
        "compute": ("skydive_agent",),
    },
    artifacts={"skydive-graph.json": where("skydive_analyzer", GRAPH)},
    settings=SkydiveConfig,
)
