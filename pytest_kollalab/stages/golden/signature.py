"""Signatures of golden states: made and checked by OpenSSH, as git has them of commits."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_kollalab.stages.golden import artifact
from pytest_kollalab.stages.golden.artifact import Blob, Manifest
from pytest_kollalab.stages.golden.layout import Folder
from pytest_kollalab.stages.golden.place import Place
from pytest_kollalab.system import temporary
from pytest_kollalab.system.errors import CommandError, ConfigError, StageError
from pytest_kollalab.system.run import run

# So that a signature of something else is none of a golden state (ssh-keygen(1), -n).
NAMESPACE = "golden@kollalab"
MEDIA = "application/vnd.kollalab.golden.signature.v1+pem"
EMPTY = b"{}"
SUFFIX = ".sig"


def check_key(key: str) -> None:
    """Raise ConfigError if a key is named and not there."""
    if key and not Path(key).is_file():
        raise ConfigError(
            f"run.golden_key: there is no file {key}",
            hint="make one: ssh-keygen -t ed25519 -f FILE",
        )


def sign(place: Place, key: str, manifest: Manifest, private: str, folder: Path) -> None:
    """Sign a manifest and have the signature in a place, as an artifact of its own.

    Args:
        place: The place.
        key: The key of the golden state.
        manifest: Its manifest.
        private: The file with the private key; nothing is done without.
        folder: A folder for what is needed meanwhile.

    Raises:
        StageError: The key cannot sign, such as one with a passphrase that no agent knows.
    """
    if not private:
        return
    path = folder / "manifest"
    path.write_bytes(manifest.text())
    try:
        run(["ssh-keygen", "-Y", "sign", "-f", private, "-n", NAMESPACE, path])
    except CommandError as error:
        raise StageError(
            f"the golden state could not be signed with {private}",
            details=error.details,
            hint="is its passphrase known to the ssh-agent?",
        ) from error
    file = path.with_name("manifest.sig")
    config = folder / "empty"
    config.write_bytes(EMPTY)
    about = Blob(artifact.digest_of(EMPTY), len(EMPTY), artifact.CONFIG)
    signature = Blob(artifact.digest_of_file(file), file.stat().st_size, MEDIA)
    for blob, each in ((about, config), (signature, file)):
        if not place.has(blob):
            place.put(blob, each, lambda _: None)
    place.tag(f"{key}{SUFFIX}", Manifest(about, (signature,)).text())


def is_there(place: Place, key: str) -> bool:
    """Whether a place has a signature of a golden state."""
    return place.manifest(f"{key}{SUFFIX}") is not None


def copy(place: Place, key: str, target: Folder, folder: Path) -> None:
    """Have the signature of a golden state in a folder as well, if there is one.

    Args:
        place: Where it is.
        key: The key of the golden state.
        target: The folder.
        folder: A folder for what is needed meanwhile.
    """
    text = place.manifest(f"{key}{SUFFIX}")
    if text is None or place == target:
        return
    with temporary.scratch(folder, "signature") as scratch:
        for number, blob in enumerate(artifact.read_manifest(text, str(place)).blobs):
            path = Path(scratch) / str(number)
            place.get(blob, path, lambda _: None)
            target.put(blob, path, lambda _: None)
    target.tag(f"{key}{SUFFIX}", text)


def check(place: Place, key: str, manifest: bytes, signers: str) -> str:
    """Check that a manifest was signed by somebody whom the user trusts.

    Args:
        place: Where it is from.
        key: The key of the golden state.
        manifest: Its bytes.
        signers: The file of allowed signers (ssh-keygen(1)); nothing is checked without.

    Returns:
        Who signed it; empty if nothing was checked.

    Raises:
        ConfigError: There is no such file.
        StageError: There is no signature, or it is not of one of them.
    """
    if not signers:
        return ""
    if not Path(signers).is_file():
        raise ConfigError(f"run.golden_signers: there is no file {signers}")
    text = place.manifest(f"{key}{SUFFIX}")
    if text is None:
        raise StageError(f"the golden state {key} in {place} is not signed")
    (blob,) = artifact.read_manifest(text, f"the signature of {key}").layers
    with TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        place.get(blob, file, lambda _: None)
        if artifact.digest_of_file(file) != blob.digest:
            raise StageError(f"the signature of {key} in {place} is damaged")
        argv: list[str | Path] = ["ssh-keygen", "-Y", "find-principals", "-s", file, "-f", signers]
        found = run(argv, check=False).stdout.split()
        for who in found:
            argv = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", who, "-n", NAMESPACE]
            if run([*argv, "-s", file], input=manifest, check=False).returncode == 0:
                return who
    raise StageError(
        f"the golden state {key} in {place} is not signed by anybody of {signers}",
        hint="push it again with a golden_key that is listed there",
    )
