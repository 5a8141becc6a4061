"""Sources and releases: names of files, groups for pip, what is taken out of a wheel."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from pytest_kollalab.features.compute.guest import image as guest
from pytest_kollalab.providers.docker import node_image
from pytest_kollalab.providers.libvirt import image as libvirt_image
from pytest_kollalab.releases import constraints, releases
from pytest_kollalab.releases.releases import RELEASES, Release, SourceArchive
from pytest_kollalab.stages import tools_python
from pytest_kollalab.stages.images import registry, sources
from pytest_kollalab.system import debian
from pytest_kollalab.system.errors import ConfigError

SDIST = SourceArchive(
    "networking-sfc", "22.0.0", "ab" * 32, section="neutron-base-plugin-networking-sfc"
)
WHEEL = SourceArchive("ansible", "12.3.0", "cd" * 32, collections=("community.general",))
OLDER = SourceArchive("ansible", "10.7.0", "ef" * 32, collections=("openvswitch.openvswitch",))


def test_files_are_named_as_projects_publish_them() -> None:
    assert SDIST.filename == "networking_sfc-22.0.0.tar.gz"
    assert WHEEL.filename == "ansible-12.3.0-py3-none-any.whl"


def test_pip_is_asked_for_one_kind_and_one_version_at_a_time() -> None:
    another = SourceArchive("nova", "33.0.2", "00" * 32, section="nova-base")
    assert sources.batches([SDIST, WHEEL, another, OLDER]) == [[SDIST, another], [WHEEL], [OLDER]]


def test_only_what_an_image_is_built_from_is_downloaded() -> None:
    nova = SourceArchive("nova", "33.0.2", "00" * 32, section="nova-base")
    every = [SDIST, WHEEL, nova]
    assert sources.needed(every, ["base", "neutron-base", "neutron-server"]) == [SDIST]
    assert sources.needed(every, ["base", "kolla-toolbox"]) == [WHEEL]
    assert sources.needed(every, ["base", "cron"]) == []


def test_pip_checks_the_hash() -> None:
    assert sources.requirement(SDIST) == f"networking-sfc==22.0.0 --hash=sha256:{'ab' * 32}\n"


def test_a_source_is_whole_when_its_hash_is_the_pinned_one(tmp_path: Path) -> None:
    content = b"a source"
    good = SourceArchive("a", "1", hashlib.sha256(content).hexdigest(), section="a")
    assert not sources.is_whole(good, tmp_path)
    (tmp_path / "a-1.tar.gz").write_bytes(content)
    assert sources.is_whole(good, tmp_path)
    (tmp_path / "a-1.tar.gz").write_bytes(content[:3])
    assert not sources.is_whole(good, tmp_path)


@pytest.mark.parametrize(
    ("member", "wanted"),
    [
        ("ansible_collections/community/general/plugins/modules/ini.py", True),
        ("ansible_collections/community/general/MANIFEST.json", True),
        ("ansible_collections/community/general/tests/unit/x.py", False),
        ("ansible_collections/community/mysql/plugins/modules/db.py", False),
        ("ansible_collections/__init__.py", False),
        ("ansible-12.3.0.dist-info/METADATA", False),
    ],
)
def test_only_what_is_of_use_is_taken_out_of_a_wheel(member: str, wanted: bool) -> None:
    assert sources.belongs(member, ["community.general"]) is wanted


def test_collections_are_unpacked_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / WHEEL.filename, "w") as wheel:
        wheel.writestr("ansible_collections/community/general/plugins/x.py", "x = 1\n")
    folder = sources.unpack_collections([SDIST, WHEEL], tmp_path)
    assert folder.name == "collections"
    module = folder / "ansible_collections/community/general/plugins/x.py"
    assert module.read_text() == "x = 1\n"
    (tmp_path / WHEEL.filename).unlink()
    assert sources.unpack_collections([SDIST, WHEEL], tmp_path) == folder


def test_an_unknown_release_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        releases.get("2026.3")
    assert "2026.2" in caught.value.hint


def pins(path: Path) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    found = [line.partition(";")[0].strip().partition("==") for line in lines if "==" in line]
    return {name.lower(): version for name, _, version in found}


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.name)
def test_requirements_and_constraints_pin_what_the_table_pins(release: Release) -> None:
    wanted = pins(release.data / "requirements.in")
    resolved = pins(release.data / "requirements" / "upper-constraints.txt")
    for source in release.sources:
        if source.section:
            assert wanted[source.project] == source.version
            assert resolved[source.project] == source.version


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.name)
def test_constraints_are_exact_and_name_no_extras(release: Release) -> None:
    for name in ("requirements/upper-constraints.txt", "tools.txt"):
        for line in (release.data / name).read_text().splitlines():
            assert re.fullmatch(r"[a-z0-9._-]+==[^=\[*]+", line.partition(" ;")[0]), line


def test_young_versions_are_allowed_for_what_is_pinned_by_hand(tmp_path: Path) -> None:
    (tmp_path / "a.in").write_text("nova==33.0.2  # why\nansible-core==2.20.*\npbr\nx<2\n# y==1\n")
    assert constraints.pinned_projects([tmp_path / "a.in"]) == {"nova", "ansible-core"}


def test_the_base_image_takes_its_packages_from_the_mirror() -> None:
    argv = debian.mmdebstrap("trixie", "http://mirror.test/debian/", Path("/x.tar"), Path("/r.tar"))
    assert argv[0] == "mmdebstrap"
    assert argv[-5:] == [
        "trixie",
        "/r.tar",
        "deb http://mirror.test/debian trixie main",
        "deb http://mirror.test/debian trixie-updates main",
        "deb http://mirror.test/debian-security trixie-security main",
    ]


def test_the_base_image_does_not_depend_on_where_certificates_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.crt").write_text("certificate")
        monkeypatch.setattr(debian, "EXTRA_CAS", folder)
        tags.append(debian.tag("trixie", "http://m"))
    assert tags[0] == tags[1]
    (tmp_path / "there" / "there.crt").write_text("another")
    assert debian.tag("trixie", "http://m") != tags[0]


def test_the_store_knows_its_images(tmp_path: Path) -> None:
    link = tmp_path / "docker/registry/v2/repositories/kolla/cron/_manifests/tags/t/current/link"
    link.parent.mkdir(parents=True)
    link.write_text("sha256:00")
    assert registry.stored(tmp_path, "t", ["cron", "nova-api"]) == ["cron"]
    assert registry.stored(tmp_path, "other", ["cron"]) == []
    registry.forget(tmp_path, "t")
    assert registry.stored(tmp_path, "t", ["cron"]) == []


@pytest.mark.parametrize("release", RELEASES.values(), ids=lambda release: release.name)
def test_a_release_is_data(release: Release) -> None:
    assert re.fullmatch(r"\d{4}\.[12]", release.name)
    assert re.fullmatch(r"3\.\d+", release.python)
    assert re.fullmatch(r"3\.\d+", release.tools_python)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", release.as_of)
    for source in release.sources:
        assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
        assert source.wheel != bool(source.section)


def test_releases_are_in_their_order() -> None:
    assert list(RELEASES) == sorted(RELEASES)
    assert releases.before("2026.1") is None
    assert releases.before("2026.2") == RELEASES["2026.1"]


def test_constraints_that_are_resolved_anew_are_compared(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("alembic==1.18.4\namqp==5.3.1\ncffi==2.0.0 ; python_version < '4'\n")
    new.write_text("alembic==1.20.0\ncffi==2.0.0\nwheel==0.48.0\n")
    assert constraints.changes(constraints.pins(old), constraints.pins(new)) == [
        "alembic 1.18.4 -> 1.20.0",
        "amqp 5.3.1 is gone",
        "wheel 0.48.0 is new",
    ]
    assert constraints.pins(tmp_path / "none.txt") == {}


def test_every_mmdebstrap_trusts_the_keys_of_debian_on_ubuntu_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ubuntu's apt trusts its own keys alone, and has Debian's in a package."""
    path, mirror = tmp_path / "x", "http://mirror.test/debian"

    def commands() -> list[list[str]]:
        return [
            debian.mmdebstrap("trixie", mirror, path, path),
            node_image.mmdebstrap("trixie", mirror, path, []),
            libvirt_image.mmdebstrap("trixie", mirror, path, path, []),
            tools_python.mmdebstrap("3.13", "trixie", mirror, path),
            guest.build_argv(path, path, mirror, "trixie"),
        ]

    keys = tmp_path / "debian-archive-keyring.gpg"
    monkeypatch.setattr(debian, "KEYRING", keys)
    assert not any(word.startswith("--keyring") for argv in commands() for word in argv)
    keys.touch()
    assert all(f"--keyring={keys}" in argv for argv in commands())
