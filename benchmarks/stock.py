"""The baseline: Kolla's own commands, with the configuration that its documentation recommends."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud import deploy, pull
from pytest_kollalab.stages.cloud.deploy import Deployment
from pytest_kollalab.stages.cloud.making import Making
from pytest_kollalab.stages.cloud.stage import CloudStage
from pytest_kollalab.stages.images import render
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.system import daemon, files
from pytest_kollalab.system.run import run
from pytest_kollalab.system.ssh import Ssh

SURE = "--yes-i-really-really-mean-it"
# What identifies a container: a deploy that changes nothing makes none anew and restarts none.
STANDING = (
    "docker ps --all --no-trunc --format '{{.Names}} {{.ID}}' | sort; "
    "docker inspect --format '{{.Name}} {{.State.StartedAt}}' $(docker ps --quiet) | sort; "
    "find /etc/kolla -type f -exec sha256sum {} + | sort"
)


class Stock:
    """Kolla-Ansible as it is on the nodes of a lab, with the same inventory and variables."""

    def __init__(self, lab: Lab, log: Path) -> None:
        self.lab = lab
        self.log = log
        stage = lab.engine.stages["cloud"]
        assert isinstance(stage, CloudStage)
        self.stage = stage
        self.work = lab.engine.work(stage, "benchmark")
        self.nodes = self.work.made(NodesMade)
        self.ssh = Ssh(self.nodes.ssh_config)

    def write(self) -> Deployment:
        """Write what Kolla-Ansible is given, as a lab does."""
        return Making(self.stage.cloud).prepare(self.work)

    def pull(self) -> float:
        """Have all images pulled by their nodes; the seconds that takes."""
        registry = self.nodes.registry
        wanted = self.stage.cloud.images(self.work.made(ImagesMade), list(self.nodes.nodes))
        pulled: list[str] = []
        started = time.monotonic()
        with pull.Pull(self.ssh, wanted, registry, pulled.append) as pulling:
            pass
        pulling.check()
        seconds = time.monotonic() - started
        for node in pulled:
            # As in a lab: the next one has them from here.
            self.stage.cloud.provider.pulled(self.work.tag, node, wanted, registry)
        return seconds

    def play(self, action: str, site: Deployment, *more: str) -> float:
        """Run an action of the command `kolla-ansible` to its end; the seconds that takes."""
        cfg = self.work.folder / "stock.cfg"
        files.write(cfg, deploy.stock_ansible_cfg(self.ssh.config))
        argv: list[str | Path] = [site.venv / "bin" / "kolla-ansible", action, "-i", site.inventory]
        argv += ["--configdir", site.etc, "--passwords", site.etc / "passwords.yml", *more]
        env = {
            "ANSIBLE_CONFIG": str(cfg),
            "ANSIBLE_HOME": str(self.work.folder / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(deploy.collections(site.venv)),
            "PATH": f"{site.venv / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        }
        log = self.log.with_name(f"{self.log.stem}-{action}.log")
        return run(argv, env=env, log_file=log, secrets=site.secrets).seconds

    def standing(self) -> dict[str, str]:
        """What stands on each node: containers, since when they run, and configuration."""
        return {
            node: self.ssh.run(node, ["sh", "-c", STANDING]).stdout for node in self.nodes.nodes
        }


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The lines that are not the same any more, with their node."""
    return [
        f"{node}: {line}"
        for node, text in after.items()
        for line in text.splitlines()
        if line not in before[node].splitlines()
    ]


def build_images(venv: Path, conf: Path, names: Sequence[str], tag: str, *more: str) -> float:
    """Build images with kolla-build from nothing, and remove them; the seconds the build takes."""
    namespace = "kollalab-benchmark"
    client = daemon.connect()
    with tempfile.TemporaryDirectory() as folder:
        # kolla-build does not make the folder of its logs itself.
        Path(folder, "logs").mkdir()
        argv: list[str | Path] = [venv / "bin" / "kolla-build", "--config-file", conf, "--nocache"]
        argv += ["--work-dir", folder, "--logs-dir", Path(folder, "logs")]
        argv += ["--namespace", namespace, "--tag", tag, *more, *render.patterns(names)]
        try:
            return run(argv, log_file=Path(folder, "log")).seconds
        finally:
            made = [i for i in client.images.list() if any(namespace in n for n in i.tags)]
            # One that others are built on goes after them.
            for image in sorted(made, key=lambda i: len(i.attrs["RootFS"]["Layers"]), reverse=True):
                client.images.remove(image.tags[0])
