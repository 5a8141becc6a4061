#!/bin/sh
# Copies images from another registry into the store: mirror.sh LIST. Standard input has a line with a password for
# the store's registry, then the login of the other one.
# LIST has a line for each: source destination archive (the name of a docker archive to write as well, or -).
# The port of the store's registry is on the host's loopback, where every local user can reach it. So it wants the
# password, and the port is asked of its process: nobody can take its place.
set -eu
list=$1
IFS= read -r password
salt=$(head -c 11 /dev/urandom | od -An -tx1 | tr -d ' \n')
(
    umask 077
    cat >/run/auth.json
    PASSWORD=$password SALT=$salt perl -e 'print "store:", crypt($ENV{PASSWORD}, q($2b$04$) . $ENV{SALT}), "\n"' \
        >/run/htpasswd
)
if [ -s /run/auth.json ]; then export AUTH="--src-authfile /run/auth.json"; else export AUTH=; fi
if [ -d /certs ]; then export CERTS="--src-cert-dir /certs"; else export CERTS=; fi
export REGISTRY_HTTP_ADDR="127.0.0.1:0" REGISTRY_AUTH=htpasswd
export REGISTRY_AUTH_HTPASSWD_REALM=store REGISTRY_AUTH_HTPASSWD_PATH=/run/htpasswd
docker-registry serve /etc/docker/registry/config.yml >/tmp/registry.log 2>&1 &
registry=$!
trap 'kill $registry' EXIT
listening() {
    for link in /proc/$registry/fd/*; do
        inode=$(readlink "$link" | sed -n 's/^socket:\[\(.*\)\]$/\1/p')
        [ -z "$inode" ] || awk -v inode="$inode" \
            '$10 == inode && $4 == "0A" { split($2, part, ":"); print part[2] }' /proc/net/tcp
    done
}
tries=0
until port=$(listening) && [ -n "$port" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! kill -0 $registry; then
        echo "the registry of the store does not answer"
        tail -n 5 /tmp/registry.log
        exit 1
    fi
    sleep 0.1
done
PORT=$(printf '%d' "0x$port")
export PORT
(umask 077 && printf '{"auths": {"127.0.0.1:%s": {"auth": "%s"}}}' "$PORT" \
    "$(printf 'store:%s' "$password" | base64 -w 0)" >/run/own.json)
xargs -P 3 -n 3 sh /mirror/copy.sh <"$list"
