#!/usr/bin/env bash
# The docker SDK for Python loads the user's logins again for a build, although the client was given a configuration without any.
#
# A good guess: after `client.api.reload_config(FILE)` with a file that has no login, no login is sent, for pushes, pulls and builds alike. Seen with docker 7.2.0: a
# build takes an empty configuration for one that was never loaded, and reads the default file once more (docker/api/build.py,
# _set_auth_headers). So all logins go to the daemon, and a credential helper is asked for that the build does not need. kolla-build and other
# tools on this SDK build that way. A file with a login for a registry that does not exist keeps the others out.
#
# Output seen:
#   registries after reload_config: none
#   registries sent with a build: registry.example
# The daemon is a server of a few lines that notes the header.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet docker==7.2.0
mkdir -p "$folder/home/.docker" "$folder/context"
echo '{"auths": {"registry.example": {"auth": "dXNlcjp3b3Jk"}}}' > "$folder/home/.docker/config.json"
echo '{}' > "$folder/empty.json"
echo 'FROM scratch' > "$folder/context/Dockerfile"
cat > "$folder/run.py" <<'PYTHON'
import base64
import http.server
import json
import sys
import threading

import docker

sent = []


class Daemon(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        sent.append(self.headers.get("X-Registry-Config"))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Daemon)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = docker.APIClient(f"tcp://127.0.0.1:{server.server_port}", version="1.41")
client.reload_config(f"{sys.argv[1]}/empty.json")
print("registries after reload_config:", ", ".join(client._auth_configs.auths) or "none")
list(client.build(f"{sys.argv[1]}/context"))
(header,) = sent
print("registries sent with a build:", ", ".join(json.loads(base64.urlsafe_b64decode(header))) if header else "none")
PYTHON
HOME="$folder/home" DOCKER_CONFIG='' "$folder/venv/bin/python" "$folder/run.py" "$folder" | tee "$folder/said"
diff <(sed -n 's/^#   //p' "$0") "$folder/said" || { echo "the docker SDK does something else now" >&2; exit 1; }
