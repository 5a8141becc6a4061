#!/usr/bin/env bash
# ovsdbapp writes nothing of a map that has one number in it, and says that it did.
#
# A good guess: `db_set("Interface", "vx0", ("options", {"remote_ip": ..., "key": 42})).execute(check_error=True)` stores 42 as text, as `ovs-vsctl set interface
# vx0 options:key=42` does, or raises an error, for which check_error is. Seen with ovsdbapp 3.0.0, ovs 4.0.0 of PyPI and Open vSwitch 3.5.0 of Debian 13: the call
# returns as after a success and the other columns of the same call are written, but the whole map stays as it was, the tunnel's remote address
# included. The package `ovs` skips a column whose value has a wrong type (ovs/db/idl.py, Row.__setattr__) and tells only its own log, ovs.vlog, which
# is not Python's logging and is off until it is set up. With "42" all of it is written.
#
# Output seen:
#   {"remote_ip": "192.0.2.1", "key": 42}: no error; type vxlan, options {}
#   {"remote_ip": "192.0.2.1", "key": "42"}: no error; type vxlan, options {"key": "42", "remote_ip": "192.0.2.1"}
# Needs root, mmdebstrap and unshare. The switch runs with dummy ports.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
mmdebstrap --quiet --variant=apt --include=openvswitch-switch trixie "$folder/root" > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
version=$(chroot "$folder/root" dpkg-query -W -f '${Version}' openvswitch-switch)
[[ $version == 3.5.* ]] || { echo "this is about Open vSwitch 3.5, and $version is what there is now" >&2; exit 1; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ovsdbapp==3.0.0 ovs==4.0.0
cat > "$folder/run.py" <<'PYTHON'
import json
import sys

from ovsdbapp.backend.ovs_idl import connection
from ovsdbapp.schema.open_vswitch import impl_idl

idl = connection.OvsdbIdl.from_server(sys.argv[1], "Open_vSwitch")
database = impl_idl.OvsdbIdl(connection.Connection(idl, timeout=10))


def look(name, column):
    return database.db_get("Interface", name, column).execute(check_error=True)


for name, key in (("vx0", 42), ("vx1", "42")):
    options = {"remote_ip": "192.0.2.1", "key": key}
    database.add_br(f"br-{name}").execute(check_error=True)
    database.add_port(f"br-{name}", name).execute(check_error=True)
    try:
        database.db_set("Interface", name, ("type", "vxlan"), ("options", options)).execute(check_error=True)
        said = "no error"
    except Exception as error:
        said = type(error).__name__
    found = json.dumps(look(name, "options"), sort_keys=True)
    print(f"{json.dumps(options)}: {said}; type {look(name, 'type')}, options {found}")
PYTHON
cat > "$folder/ask" <<'ASK'
set -eu
inside() { OVS_RUNDIR=/tmp/run OVS_DBDIR=/tmp/run chroot "$folder/root" "$@"; }
inside mkdir /tmp/run
inside ovsdb-tool create /tmp/run/conf.db /usr/share/openvswitch/vswitch.ovsschema
inside ovsdb-server /tmp/run/conf.db --remote=punix:/tmp/run/db.sock --pidfile --detach --no-chdir -vconsole:off -vsyslog:off
inside ovs-vsctl --no-wait init
inside ovs-vswitchd --enable-dummy=override --disable-system --pidfile --detach --no-chdir -vconsole:off -vsyslog:off
"$folder/venv/bin/python" -W ignore "$folder/run.py" "unix:$folder/root/tmp/run/db.sock"
inside ovs-appctl -t ovs-vswitchd exit
inside ovs-appctl -t ovsdb-server exit
ASK
said=$(folder=$folder unshare --net --pid --fork bash "$folder/ask")
echo "$said"
[[ $said == *'"key": 42}: no error; type vxlan, options {}'* && $said == *'"key": "42"}: no error; type vxlan, options {"key": "42", "remote_ip": "192.0.2.1"}' ]] ||
    { echo "these versions do something else" >&2; exit 1; }
