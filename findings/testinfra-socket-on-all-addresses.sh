#!/usr/bin/env bash
# testinfra says of a service on all IPv4 addresses that it does not listen at the host's address, and of one on :: that it listens everywhere.
#
# A good guess: `host.socket("tcp://127.0.0.1:PORT").is_listening` is true when a connection to that address and port would be accepted: for a listener on
# 0.0.0.0 as well, and not for one that is on IPv6 alone. Seen with pytest-testinfra 10.2.2: a listener on 0.0.0.0 is found only as
# tcp://0.0.0.0:PORT. One on :: counts for each address, of IPv4, of IPv6, and of other hosts, also when it takes IPv6 alone (IPV6_V6ONLY, as sshd sets
# it). testinfra/modules/socket.py, is_listening, looks for the truth value of "is on 0.0.0.0" in the list of sockets, where it never is, and returns
# early for "::". So a test of an API's own address fails for a service that answers there, or passes for one that does not.
#
# Output seen:
#   listener   asked              accepts  is_listening
#   0.0.0.0    tcp://127.0.0.1    yes      False
#   0.0.0.0    tcp://0.0.0.0      yes      True
#   :: alone   tcp://127.0.0.1    no       True
#   :: alone   tcp://192.0.2.1    no       True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytest-testinfra==10.2.2
cat > "$folder/run.py" <<'PYTHON'
import socket

import testinfra

host = testinfra.get_host("local://")


def listener(family, address):
    made = socket.socket(family)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((address, 0))
    made.listen()
    return made


def accepts(address, port):
    try:
        socket.create_connection((address, port), 5).close()
    except ConnectionRefusedError:
        return "no"
    return "yes"


with listener(socket.AF_INET, "0.0.0.0") as four, listener(socket.AF_INET6, "::") as six:
    print("listener   asked              accepts  is_listening")
    for name, made, address in (
        ("0.0.0.0", four, "127.0.0.1"),
        ("0.0.0.0", four, "0.0.0.0"),
        (":: alone", six, "127.0.0.1"),
        (":: alone", six, "192.0.2.1"),
    ):
        port = made.getsockname()[1]
        # 192.0.2.1 (RFC 5737) is an address of no host: nothing is asked there.
        does = "no" if address == "192.0.2.1" else accepts(address, port)
        told = host.socket(f"tcp://{address}:{port}").is_listening
        print(f"{name:10} {f'tcp://{address}':18} {does:8} {told}")
PYTHON
said=$("$folder/venv/bin/python" "$folder/run.py")
echo "$said"
plain=$(printf '%s\n' "$said" | tr -s ' ')
[[ $plain == *'0.0.0.0 tcp://127.0.0.1 yes False'* && $plain == *'0.0.0.0 tcp://0.0.0.0 yes True'* &&
    $plain == *':: alone tcp://127.0.0.1 no True'* && $plain == *':: alone tcp://192.0.2.1 no True' ]] || { echo "testinfra does something else now" >&2; exit 1; }
