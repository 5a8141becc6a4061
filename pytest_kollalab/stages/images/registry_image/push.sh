#!/bin/sh
# Copies images out of an archive of `docker save` into the store: push ARCHIVE REFERENCE...
# Nothing but this container sees the registry, so it needs no TLS and no network.
set -eu
archive=$1
shift
docker-registry serve /etc/docker/registry/config.yml >/tmp/registry.log 2>&1 &
registry=$!
trap 'kill $registry' EXIT
tries=0
while skopeo list-tags --tls-verify=false docker://127.0.0.1:4000/none 2>&1 | grep -q refused
do
    tries=$((tries + 1))
    if [ $tries -gt 50 ]; then
        echo "the registry does not answer"
        tail -n 5 /tmp/registry.log
        exit 1
    fi
    sleep 0.1
done
for reference; do
    # The fastest level: reading and writing less is worth more than the time it takes.
    skopeo copy --quiet --dest-tls-verify=false \
        --dest-compress-format zstd --dest-compress-level 1 \
        "docker-archive:$archive:$reference" "docker://127.0.0.1:4000/$reference"
    echo "pushed $reference"
done
