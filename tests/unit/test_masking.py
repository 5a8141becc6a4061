"""Redaction: every secret of a lab is planted in every way it may be met, and nothing is found."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from pytest_kollalab.report.masking import Redactor, cloud_passwords, lab_secrets
from pytest_kollalab.stages.cloud import clouds_yaml
from pytest_kollalab.system.run import MASK

PASSWORDS = {
    "database_password": "nV5pQ8sTz1LrYw3XkJb6GhD0",
    "keystone_admin_password": "Zx9CvB2nM4aSdF7gHjK1lQwE",
    "nova_password": "with \"quotes\", $pace & 'ticks'/é",
    "heat_uuid": "0b4f3c6e-6f0a-4d0e-9d38-2b7c1e5a9f44",
    "not_used": None,
    "kolla_ssh_key": {
        "private_key": "-----BEGIN PRIVATE KEY-----\nMIIJQgIBADANBgkqhkiG9w0BAQ\nEFAASCCSwwggko\n"
        "-----END PRIVATE KEY-----\n",
        "public_key": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB",
    },
}
FERNET = "gAAAAABpIhJ1q8Vw-Z_x0b1T5uE9kF3rJc7yN2mXhLs4dPaGvQoWtU6iBzRjKeYfSCnM"
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\nQyNTUxOQAAACDsecret\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state folder of a lab, with the files that its stages write."""
    etc = tmp_path / "cloud" / "etc"
    etc.mkdir(parents=True)
    (etc / "passwords.yml").write_text(yaml.safe_dump(PASSWORDS))
    document = clouds_yaml.document("kollalab-lab", "http://10.0.0.11:5000", "clouds-own-password")
    clouds_yaml.write(tmp_path / "cloud" / "clouds.yaml", document)
    keys = tmp_path / "nodes" / "host_keys"
    keys.mkdir(parents=True)
    (keys / "controller-1").write_text(KEY)
    (keys / "controller-1.pub").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPublic")
    return tmp_path


def values() -> list[str]:
    plain = [value for value in PASSWORDS.values() if isinstance(value, str)]
    return [*plain, "clouds-own-password", "MIIJQgIBADANBgkqhkiG9w0BAQ", "EFAASCCSwwggko"]


SPELLINGS = {
    "plain": lambda secret: f"connecting as admin with {secret} now",
    "json": lambda secret: json.dumps({"value": secret}),
    "json, escaped": lambda secret: json.dumps({"value": secret}, ensure_ascii=False),
    "python": lambda secret: repr([secret]),
    "url": lambda secret: f"http://x/?value={quote(secret, safe='')}&y=1",
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "yaml": lambda secret: yaml.safe_dump({"value": secret}, allow_unicode=True),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_secret_of_a_lab_is_left_in_any_spelling(folder: Path, spelling: str) -> None:
    mask = Redactor(lab_secrets(folder))
    for secret in values():
        planted = SPELLINGS[spelling](secret)
        masked = mask(planted)
        assert MASK in masked, planted
        # The parts too: half a password is a hint.
        assert secret not in masked
        assert secret[: len(secret) // 2] not in masked
        assert mask(masked) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"token {FERNET} of", "token * of"),
        (f"token {FERNET}== of", "token * of"),
        (f"'{FERNET[:32]}...", "'*..."),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl!", "*!"),
        ("X-Auth-Token: abc123", "X-Auth-Token: *"),
        ("-H 'x-subject-token: {SHA256}abc' -d", "-H 'x-subject-token: *' -d"),
        ("{'X-Auth-Token': 'abc123', 'a': 1}", "{'X-Auth-Token': '*', 'a': 1}"),
        ('{"X-Service-Token": "abc123"}', '{"X-Service-Token": "*"}'),
        (r"{\"X-Auth-Token\": \"abc123\"}", r"{\"X-Auth-Token\": \"*\"}"),
        ("('X-Auth-Token', b'abc123')", "('X-Auth-Token', b'*')"),
        ("Authorization: Basic YWRtaW46cHc=\r", "Authorization: Basic *\r"),
        ("Set-Cookie: session=abc; Path=/", "Set-Cookie: session=*; Path=/"),
        (
            "mysql+pymysql://nova:pa55@10.0.0.11:3306/nova",
            "mysql+pymysql://nova:*@10.0.0.11:3306/nova",
        ),
        ("rabbit://osl:ab@h1:56,osl:ab@h2:56/", "rabbit://osl:*@h1:56,osl:*@h2:56/"),
        ("password=hunter22 user=x", "password=* user=x"),
        ('{"adminPass": "hunter22"}', '{"adminPass": "*"}'),
        (r"{\"password\": \"hunter22\"}", r"{\"password\": \"*\"}"),
        ("IDENTIFIED BY 'hunter22'", "IDENTIFIED BY '*'"),
        (f"a\n{KEY}b", "a\n*\nb"),
        (f"a\n{KEY[:60]}", "a\n*"),
        (f"a\n{KEY[:60]}\n[goes on]", "a\n*[goes on]"),
        (json.dumps(KEY), '"*\\n"'),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_the_rest_is_not(text: str, masked: str) -> None:
    mask = Redactor()
    assert mask(text) == masked.replace("*", MASK)
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "Truncating password to algorithm specific maximum length 72 characters.",
        "password: None, passwd=null",
        "cookie=0x8f, table=0, priority=2,in_port=1 actions=set_field:0x1->tun_id",
        "GET http://10.246.1.11:5000/v3/auth/tokens HTTP/1.1 201",
        "inet6 fe80::1/64 scope link user@host 10.0.0.1:22",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor()(text) == text


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    assert Redactor(["abcdefgh", "abcdefgh12345678"])("x abcdefgh12345678 y") == f"x {MASK} y"


def test_a_lab_without_files_has_no_secrets(tmp_path: Path) -> None:
    assert lab_secrets(tmp_path) == ()


def test_every_cloud_of_a_clouds_yaml_counts_and_short_words_do_not() -> None:
    def cloud(**auth: str) -> dict[str, Any]:
        return {"auth": auth}

    document = {
        "clouds": {
            "a": cloud(username="admin", password="first-one"),
            "b": cloud(application_credential_secret="second-one"),
            "c": cloud(password="demo"),
            "d": {},
        }
    }
    assert cloud_passwords(document) == ["first-one", "second-one"]
    assert cloud_passwords({}) == []


@dataclass
class Entry:
    lines: list[str]
    crash: tuple[str, int] = ("", 0)
    mapping: dict[str, str] = field(default_factory=dict)
    parent: Any = None


def test_a_tree_is_masked_in_place() -> None:
    mask = Redactor(["the-secret"])
    entry = Entry(["E  the-secret", "fine"], ("says the-secret", 3), {"a": "the-secret"})
    entry.parent = entry
    assert mask.tree([(entry, None)])[0][0] is entry
    assert entry.lines == [f"E  {MASK}", "fine"]
    assert entry.crash == (f"says {MASK}", 3)
    assert entry.mapping == {"a": MASK}
    assert mask.tree("the-secret") == MASK
    assert mask.tree(None) is None


def test_megabytes_are_masked_in_time() -> None:
    secrets = [f"secret-number-{number:026d}" for number in range(200)]
    line = "2026-11-22 21:01:10.100 7 INFO neutron.wsgi [-] 10.0.0.1 GET /v2.0/ports?id=1 200 0.1\n"
    text = line * 20000 + secrets[7]
    started = time.process_time()
    assert secrets[7] not in Redactor(secrets)(text)
    # 1.7 MB; a failure's files are a few of these, and have seconds.
    assert time.process_time() - started < 3


def test_data_of_a_test_is_masked_in_a_copy() -> None:
    mask = Redactor(["the-secret"])
    own = {"a": ["the-secret", 1], "b": ("fine",)}
    masked = mask.data(own)
    assert masked == {"a": [MASK, 1], "b": ("fine",)}
    assert own["a"] == ["the-secret", 1]
    assert masked["b"] is own["b"]
    assert mask.data(kept := ["fine", {"a": None}]) is kept


def test_an_exception_and_those_before_it_are_masked() -> None:
    class RefusedError(Exception):
        def __init__(self, message: str) -> None:
            super().__init__(message)
            self.message = message
            self.code = 401

    def refused() -> None:
        try:
            raise OSError(2, "no file", "/the-secret")
        except OSError:
            raise RefusedError("login with the-secret") from None

    with pytest.raises(RefusedError) as caught:
        refused()
    Redactor(["the-secret"]).error(error := caught.value)
    assert (str(error), error.message, error.code) == (f"login with {MASK}", error.args[0], 401)
    assert "the-secret" not in str(error.__context__)


def test_an_exception_of_anybody_is_masked_as_far_as_it_allows() -> None:
    class OddError(Exception):
        @property
        def msg(self) -> str:
            raise RuntimeError("not now")

    one, two = OddError("the-secret"), ValueError("the-secret")
    group = ExceptionGroup("several", [one, two])
    one.__context__ = group
    Redactor(["the-secret"]).error(group)
    assert (str(one), str(two)) == (MASK, MASK)


def test_a_damaged_file_of_passwords_ends_nothing(tmp_path: Path) -> None:
    etc = tmp_path / "cloud" / "etc"
    etc.mkdir(parents=True)
    (etc / "passwords.yml").write_text('database_password: "cut sho')
    assert lab_secrets(tmp_path) == ()
