"""What the host tells pip, as uv and images are told it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_kollalab.releases.pypi import Index, of_images, parse
from pytest_kollalab.system.files import write

LISTED = """\
:env:.cert='/etc/ssl/certs/ca-certificates.crt'
:env:.index-url='https://mirror.test/simple'
global.index-url='https://other.test/simple'
global.extra-index-url='https://one.test/simple https://two.test/simple'
global.trusted-host='\\nmirror.test'
install.find-links='/wheels'
freeze.find-links='/nothing'
global.timeout=60
"""


def test_the_environment_wins_over_files() -> None:
    assert parse(LISTED) == Index(
        url="https://mirror.test/simple",
        extra_urls=("https://one.test/simple", "https://two.test/simple"),
        trusted_hosts=("mirror.test",),
        find_links=("/wheels",),
        cert="/etc/ssl/certs/ca-certificates.crt",
    )


def test_uv_is_told_the_same() -> None:
    assert parse(LISTED).environment() == {
        "UV_DEFAULT_INDEX": "https://mirror.test/simple",
        "UV_INDEX": "https://one.test/simple https://two.test/simple",
        "UV_INSECURE_HOST": "mirror.test",
        "UV_FIND_LINKS": "/wheels",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    }


def test_builds_are_told_of_indexes_but_not_of_folders_of_the_host() -> None:
    assert parse(LISTED).arguments() == {
        "PIP_INDEX_URL": "https://mirror.test/simple",
        "PIP_EXTRA_INDEX_URL": "https://one.test/simple https://two.test/simple",
        "PIP_TRUSTED_HOST": "mirror.test",
        "UV_DEFAULT_INDEX": "https://mirror.test/simple",
        "UV_INDEX": "https://one.test/simple https://two.test/simple",
        "UV_INSECURE_HOST": "mirror.test",
    }


def test_a_host_without_settings_changes_nothing() -> None:
    assert parse("") == Index()
    assert Index().environment() == {}
    assert Index().arguments() == {}
    assert Index().public == {}
    assert Index().secrets == ()


def test_what_is_public_of_an_index_has_no_login() -> None:
    index = Index(
        url="https://me:se%40cret@mirror.test/simple", extra_urls=("https://t0k3ns@one.test/",)
    )
    assert index.public == {"url": "https://mirror.test/simple", "extra": ["https://one.test/"]}
    assert index.secrets == ("me:se%40cret", "se%40cret", "t0k3ns")


def test_the_settings_for_images_are_read_from_files_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("PIP_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    write(tmp_path / "xdg/pip/pip.conf", "[global]\nindex-url = https://of-all\ntrusted-host = a\n")
    write(
        tmp_path / ".config/pip/pip.conf",
        "[install]\nextra-index-url =\n  https://x\n  https://y\n",
    )
    found = of_images()
    assert (found.url, found.extra_urls) == ("https://of-all", ("https://x", "https://y"))
    write(tmp_path / ".pip/pip.conf", "[global]\nindex-url = https://mine\n")
    assert of_images().url == "https://mine"
    write(tmp_path / "named", "[global]\nindex_url = https://named\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "named"))
    assert of_images().url == "https://named"
    monkeypatch.setenv("PIP_INDEX_URL", "https://told")
    assert of_images().url == "https://told"
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert of_images() == Index(url="https://told")
