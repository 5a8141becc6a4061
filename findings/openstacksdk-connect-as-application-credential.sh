#!/usr/bin/env bash
# openstacksdk's connect_as() logs another user in with the administrator's kind of login, and fails with a TypeError of a plugin.
#
# A good guess: `connection.connect_as(username=..., password=...)` is a login by password, whatever login the connection itself has; its
# documentation says that it takes the same values as the configuration. Seen with openstacksdk 4.22.0 and keystoneauth1 5.18.1: `auth_type` stays the one
# of the connection, so from an application credential or a token the name and the password go to a plugin that takes neither. The error is
# no exception of openstacksdk, and names neither `auth_type` nor the cloud. `auth_type="password"` beside them changes nothing.
#
# Output seen:
#   from a password: a login by Password
#   from an application credential: TypeError: ApplicationCredential.__init__() got an unexpected keyword argument 'password'
#   from an application credential, with auth_type: TypeError: ApplicationCredential.__init__() got an unexpected keyword argument 'password'
# Nothing is asked over the network.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openstacksdk==4.22.0 keystoneauth1==5.18.1
cat > "$folder/run.py" <<'PYTHON'
import openstack

URL = {"auth_url": "http://127.0.0.1:9/v3"}
NAMED = {"username": "admin", "password": "one", "user_domain_id": "default"}
SECRET = {"application_credential_id": "a" * 32, "application_credential_secret": "two"}


def login(kind, auth, **more):
    with openstack.connect(region_name="RegionOne", auth_type=kind, auth=URL | auth) as admin:
        try:
            guest = admin.connect_as(username="guest", password="three", user_domain_id="default", **more)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return f"a login by {type(guest.session.auth).__name__}"


print("from a password:", login("password", NAMED))
print("from an application credential:", login("v3applicationcredential", SECRET))
print("from an application credential, with auth_type:", login("v3applicationcredential", SECRET, auth_type="password"))
PYTHON
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/said"
diff <(sed -n 's/^#   //p' "$0") "$folder/said" || { echo "openstacksdk does something else now" >&2; exit 1; }
