"""Makes a cloud: configures and deploys it on the nodes, and waits until it is healthy."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import records
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.features import image_folders, passwords
from pytest_kollalab.providers.base import CloneMade, Images, NodesMade
from pytest_kollalab.releases import releases
from pytest_kollalab.stages.cloud import (
    assumed,
    clouds_yaml,
    deploy,
    health,
    inventory,
    known,
    phases,
    playbooks,
    preflight,
    pull,
    readdress,
    readiness,
)
from pytest_kollalab.stages.cloud import kolla_variables as kolla
from pytest_kollalab.stages.cloud.connect import connect
from pytest_kollalab.stages.cloud.deploy import Run
from pytest_kollalab.stages.cloud.events import PlayProgress, Tally
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.cloud.passwords import generate
from pytest_kollalab.stages.cloud.wanted import WantedCloud
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.tools import ToolsMade
from pytest_kollalab.system import files
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import KollalabError, StageError, as_message

# What Kolla-Ansible does before its deploy: its plays have the same names.
PRECHECKS = "prechecks"
# Actions of Kolla-Ansible.
DEPLOY, UPGRADE = "deploy", "upgrade"
LAST_WORDS = 4

Play = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Making:
    """Makes a cloud.

    Attributes:
        cloud: What is wanted.
    """

    cloud: WantedCloud

    def make(self, work: Work) -> CloudMade:
        """Configure and deploy the cloud, then wait until it is healthy."""
        from pytest_kollalab.system.ssh import Ssh

        work = _logged(work)
        images, nodes = work.made(ImagesMade), work.made(NodesMade)
        if nodes.clone is not None:
            return self._adopt(work, nodes, nodes.clone)
        names = list(nodes.nodes)
        tags = image_folders.tags(self.cloud.folders, images.tag)
        pull.check_built(self.cloud.features, [*images.images, *tags])
        ssh = Ssh(nodes.ssh_config)
        wanted = self.cloud.images(images, names)
        registry = nodes.registry
        preflight.check(ssh, {name: node.management for name, node in nodes.nodes.items()})
        with self._nodes_watched(work, names):
            ready = self._make_ready(work)
            keep = partial(self._keep, work, wanted, registry)
            with pull.Pull(ssh, wanted, registry, keep) as pulling:
                site = ready or self.prepare(work)
                self._precheck(work, site)
                pulling.check()
                self._run_all(work, site, DEPLOY)
                self._play_own(work, site)
            made = self._describe(work, site)
            self._wait(work, made, ssh, nodes)
        work.say("healthy")
        return made

    def upgrade(self, work: Work, source: str) -> CloudMade:
        """Upgrade the services of an older release in place, then wait until all is healthy.

        Args:
            work: What the stage is given, with tools and images of the new release.
            source: The release that the cloud has.

        Raises:
            StageError: A node cannot fetch its images, a task failed, or the cloud does not become
                healthy. The details say what was wrong.
        """

        def play(work: Work, site: deploy.Deployment) -> None:
            point("upgrade:pulled")
            self._run_all(work, site, UPGRADE)
            self._play_own(work, site)

        return dataclasses.replace(self._change(work, play), upgraded_from=source)

    def replay(self, work: Work, names: Sequence[str], replayed: tuple[str, ...]) -> CloudMade:
        """Run the playbooks of features again on the cloud, then wait until all is healthy.

        Args:
            work: What the stage is given. Images must be built.
            names: The names of the features.
            replayed: All features that this was done for since the deploy.

        Raises:
            StageError: A node cannot fetch its images, a task failed, or the cloud does not become
                healthy. The details say what was wrong.
        """

        def play(work: Work, site: deploy.Deployment) -> None:
            self._play_own(work, site, names)

        return dataclasses.replace(self._change(work, play), replayed=replayed)

    def _change(self, work: Work, play: Callable[[Work, deploy.Deployment], None]) -> CloudMade:
        """Change the cloud in place with images that are all fetched first; then it is healthy.

        A service stands still while its image is fetched.
        """
        from pytest_kollalab.system.ssh import Ssh

        work = _logged(work)
        images, nodes = work.made(ImagesMade), work.made(NodesMade)
        names = list(nodes.nodes)
        tags = image_folders.tags(self.cloud.folders, images.tag)
        pull.check_built(self.cloud.features, [*images.images, *tags])
        ssh = Ssh(nodes.ssh_config)
        with self._nodes_watched(work, names):
            wanted = self.cloud.images(images, names)
            with pull.Pull(ssh, wanted, nodes.registry, lambda _: None) as pulling:
                site = self.prepare(work)
            pulling.check()
            play(work, site)
            made = self._describe(work, site)
            self._wait(work, made, ssh, nodes)
        work.say("healthy")
        return made

    def _keep(self, work: Work, images: Images, registry: str, node: str) -> None:
        """Let the provider keep the images that a node has pulled. A failure is only reported."""
        try:
            self.cloud.provider.pulled(work.tag, node, images, registry)
        except Exception as error:  # noqa: BLE001 - the cloud needs no part of it
            work.say(f"the next lab will pull its images again: {as_message(error)}")

    def _adopt(self, work: Work, nodes: NodesMade, clone: CloneMade) -> CloudMade:
        """Move the cloud on cloned nodes to this lab's addresses and wait until it is healthy."""
        from pytest_kollalab.system.ssh import Ssh

        record = records.load(clone.folder / "cloud.json")
        assert record is not None
        former, names, etc = record.read(CloudMade), list(nodes.nodes), work.folder / "etc"
        moves = {**clone.moves, str(former.etc): str(etc)}
        readdress.configuration(clone.folder / "etc", etc, moves)
        files.write(etc / "ansible.cfg", self._ansible_cfg(nodes.ssh_config))
        site = deploy.Deployment(work.made(ToolsMade).venv, etc, etc, work.folder)
        made = dataclasses.replace(self._describe(work, site), features=former.features)
        features = self.cloud.resolve(former.features)
        slowness = self.cloud.provider.slowness
        with self._nodes_watched(work, names):
            ssh = Ssh(nodes.ssh_config)
            readiness.await_cloud(made, features, nodes.nodes, ssh, slowness=slowness, log=work.log)
            since = datetime.datetime.fromisoformat(clone.since)
            agents = health.expected_agents(features, names)
            readiness.await_reports(
                made, agents, since, timeout=readiness.REPORT_TIMEOUT * slowness
            )
        return made

    @contextmanager
    def _nodes_watched(self, work: Work, names: Sequence[str]) -> Iterator[None]:
        """If the body fails and a node has stopped, report the stopped node as the cause."""
        try:
            yield
        except KollalabError as error:
            for name in names:
                if (why := self.cloud.provider.stopped(work.tag.lab, name)) is None:
                    continue
                said = self.cloud.provider.last_words(work.tag.lab, name).splitlines()[-LAST_WORDS:]
                raise StageError(
                    f"the node {name} died during the deploy",
                    details="\n".join([why, *said, f"then: {error.brief}"]),
                    hint="was it short of memory (dmesg)? The next run makes the nodes anew",
                    log=error.log or work.log,
                ) from error
            raise

    def prepare(self, work: Work) -> deploy.Deployment:
        """Write all input of Kolla-Ansible, including passwords, and return where it is."""
        etc = work.folder / "etc"
        venv = work.made(ToolsMade).venv
        site = deploy.Deployment(
            venv=venv,
            playbooks=self._playbooks(work, venv / "share" / "kolla-ansible" / "ansible"),
            etc=etc,
            folder=work.folder,
            strategy=self._strategy(work, venv),
            direct=work.made(NodesMade).direct,
        )
        secrets = etc / "passwords.yml"
        files.private(etc)
        with ThreadPoolExecutor(1) as aside:
            # Generating keys takes seconds. Write the files meanwhile.
            own = [name for feature in self.cloud.features for name in feature.passwords]
            generated = aside.submit(generate, venv, secrets, own)
            self._write_files(work, site)
            generated.result()
        shutil.rmtree(work.folder / "facts", ignore_errors=True)
        return dataclasses.replace(site, secrets=passwords.secrets(passwords.read(secrets)))

    def _write_files(self, work: Work, site: deploy.Deployment) -> None:
        import yaml

        images, nodes = work.made(ImagesMade), work.made(NodesMade)
        merged = self.cloud.globals()
        # The user's values override all others.
        tags = image_folders.tags(self.cloud.folders, images.tag)
        own = {**kolla.added_images(images, nodes, tags), **kolla.networks(nodes)}
        own["kollalab_settings"] = self.cloud.settings()
        site_globals = kolla.site_globals(images, nodes)
        values = {**merged, **site_globals, **own, **self.cloud.config.globals}
        files.write(site.etc / "globals.yml", yaml.safe_dump(values))
        shutil.rmtree(site.etc / "config", ignore_errors=True)
        for path, text in self.cloud.configuration(merged).items():
            files.write(site.etc / "config" / path, text)
        stock = (site.playbooks / "inventory" / "multinode").read_text(encoding="utf-8")
        files.write(site.inventory / "hosts", inventory.render(stock, list(nodes.nodes)))
        for node, variables in self.cloud.provider.host_vars(nodes).items():
            files.write(site.inventory / "host_vars" / f"{node}.yml", yaml.safe_dump(variables))
        files.write(site.etc / "ansible.cfg", self._ansible_cfg(nodes.ssh_config))

    def _playbooks(self, work: Work, stock: Path) -> Path:
        """The folder of Kolla-Ansible's playbooks: the stock one, or a patched copy."""
        changes = self.cloud.release.patches(releases.KOLLA_ANSIBLE)
        if self.cloud.config.images.mode == "build" and not self.cloud.config.stock:
            # The versions in pulled images are unknown here; the server checks them itself.
            why = known.TOOLBOX.unfit(known.in_images(self.cloud.release))
            if why is not None:
                work.say(why)
                changes = [patch for patch in changes if patch.path.name != playbooks.ASKS_SERVER]
        return playbooks.mirror(stock, changes, work.folder / "playbooks") if changes else stock

    def _strategy(self, work: Work, venv: Path) -> str:
        """The strategy of Ansible: Mitogen if it is known to work, linear otherwise or if stock."""
        if self.cloud.config.stock:
            return deploy.LINEAR
        why = known.MITOGEN.unfit(known.installed(deploy.collections(venv)))
        if why is None:
            return deploy.STRATEGY.stem
        work.say(why)
        return deploy.LINEAR

    def _ansible_cfg(self, ssh_config: Path) -> str:
        make = deploy.stock_ansible_cfg if self.cloud.config.stock else deploy.ansible_cfg
        return make(ssh_config)

    def _make_ready(self, work: Work) -> deploy.Deployment | None:
        """Run the provider's own playbooks, which prepare nodes for Kolla, if it has any."""
        own = work.made(NodesMade).playbooks
        if not own:
            return None
        site = self.prepare(work)
        for path in own:
            with self._timed(work, site, f"nodes-{path.stem}") as play:
                # Such nodes may not support Mitogen.
                laid = _laid(work, site, path, f"nodes-{path.stem}")
                play(dataclasses.replace(laid, strategy=deploy.LINEAR))
        return site

    def _precheck(self, work: Work, site: deploy.Deployment) -> None:
        with self._timed(work, site, PRECHECKS) as play:
            play(Run(PRECHECKS, "precheck"))

    def _run_all(self, work: Work, site: deploy.Deployment, action: str) -> None:
        """Run all roles with an action of Kolla-Ansible."""
        # A stock deploy has no phases.
        parts = () if self.cloud.config.stock else phases.plan(self.cloud.globals())
        with self._timed(work, site, action) as play:
            phases.run_phases(
                parts,
                lambda phase, stop: play(
                    Run(f"{action}-{phase.name}", action, tags=phase.tags), stop
                ),
            )
            # The services of no phase come last, then the files for the user.
            skipped = phases.tags(parts)
            play(Run(f"{action}-rest", action, ("site.yml", "post-deploy.yml"), skip_tags=skipped))

    def _play_own(
        self, work: Work, site: deploy.Deployment, names: Sequence[str] | None = None
    ) -> None:
        """Run the playbooks of the features with these names, or of all."""
        for feature in self.cloud.features:
            if not feature.playbooks or (names is not None and feature.name not in names):
                continue
            with self._timed(work, site, f"playbooks-{feature.name}") as play:
                for path in feature.playbooks:
                    play(_laid(work, site, path, f"{feature.name}-{path.stem}"))

    @contextmanager
    def _timed(self, work: Work, site: deploy.Deployment, what: str) -> Iterator[Play]:
        tally = Tally(work.step, PRECHECKS if what == PRECHECKS else "", work.began)
        seen: dict[str, PlayProgress] = {}
        started = time.monotonic()

        def play(run: Run, stop: threading.Event | None = None) -> None:
            seen[run.name] = PlayProgress(tally)
            log = work.log.with_name(f"{work.log.stem}-{run.name}.log")
            deploy.play(site, run, seen[run.name], log=log, say=work.say, stop=stop)

        try:
            yield play
        finally:
            deploy.save_timings(work.folder / f"{what}-tasks.json", seen)
        work.say(f"{what}: {tally.tasks} tasks in {time.monotonic() - started:.0f} s")

    def _describe(self, work: Work, site: deploy.Deployment) -> CloudMade:
        lab = work.tag.lab
        cloud = clouds_yaml.cloud_name(lab)
        url = clouds_yaml.auth_url(work.made(NodesMade).controller.management)
        password = str(passwords.read(site.etc / "passwords.yml")["keystone_admin_password"])
        path = work.folder / "clouds.yaml"
        access = assumed.access(self.cloud.globals())
        clouds_yaml.write(path, clouds_yaml.document(cloud, url, password, access))
        return CloudMade(
            clouds_yaml=path,
            cloud=cloud,
            auth_url=url,
            features=tuple(feature.name for feature in self.cloud.features),
            etc=site.etc,
        )

    def _wait(self, work: Work, made: CloudMade, ssh: Any, nodes: NodesMade) -> None:
        work.say("waiting until all is healthy")
        # The last task is done, and nobody waits for it any more.
        work.step("waiting until all is healthy")
        connection = connect(made)
        try:
            health.wait_until_healthy(
                self.cloud.features,
                nodes.nodes,
                ssh,
                connection,
                slowness=self.cloud.provider.slowness,
                log=work.log,
                waiting=work.step,
            )
        finally:
            connection.close()


def _laid(work: Work, site: deploy.Deployment, path: Path, name: str) -> Run:
    """The run of a playbook that is not Kolla-Ansible's, linked into a copy of its folder."""
    laid = playbooks.lay_over(site.playbooks, path.parent, work.folder / "own" / name)
    return Run(name, "deploy", (str(laid / path.name),))


def _logged(work: Work) -> Work:
    """Return the work with lines of progress also written to its log."""

    def say(text: str) -> None:
        with work.log.open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")
        work.say(text)

    return dataclasses.replace(work, say=say)
