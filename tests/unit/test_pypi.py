"""What the host tells pip, as uv and images are told it."""

from __future__ import annotations

from pytest_kollalab.releases.pypi import Index, parse

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


def test_an_image_is_told_of_indexes_but_not_of_folders_of_the_host() -> None:
    files = parse(LISTED).files()
    assert "index-url = https://mirror.test/simple" in files["etc/pip.conf"]
    assert "/wheels" not in "".join(files.values())
    assert "ca-certificates" not in "".join(files.values())


def test_a_host_without_settings_changes_nothing() -> None:
    assert parse("") == Index()
    assert Index().environment() == {}
    assert Index().files() == {}
