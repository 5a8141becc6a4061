#!/bin/sh
# Copies images from another registry into the store: mirror.sh PORT LIST, the login on standard input.
# LIST has a line for each: source destination archive (the name of a docker archive to write as well, or -).
set -eu
port=$1
list=$2
(umask 077 && cat >/run/auth.json)
if [ -s /run/auth.json ]; then export AUTH="--src-authfile /run/auth.json"; else export AUTH=; fi
if [ -d /certs ]; then export CERTS="--src-cert-dir /certs"; else export CERTS=; fi
export REGISTRY_HTTP_ADDR="127.0.0.1:$port"
docker-registry serve /etc/docker/registry/config.yml >/tmp/registry.log 2>&1 &
registry=$!
trap 'kill $registry' EXIT
tries=0
while skopeo list-tags --tls-verify=false "docker://127.0.0.1:$port/none" 2>&1 | grep -q refused
do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $registry; then
        echo "the registry of the store does not answer"
        tail -n 5 /tmp/registry.log
        exit 1
    fi
    sleep 0.1
done
export PORT="$port"
xargs -P 3 -n 3 sh /mirror/copy.sh <"$list"
