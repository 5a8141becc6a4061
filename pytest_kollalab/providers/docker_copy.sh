#!/bin/sh
# Copies what the docker daemon of a node keeps. The layers of images never change once they are
# there, and what runs writes into layers of its own: so they are linked, and only what changes
# is copied. That costs no room and no reading, on any file system.
#   copy TRASH FROM TO [FROM TO]...
# What is in TO already goes into TRASH first, a folder on the same file system. Prints the size in
# KiB of what was copied, a line for each TO.
set -eu

copy() {
    from=$1 to=$2
    mkdir -p "$to"
    if [ -n "$(ls -A "$to")" ]; then
        mkdir -p "$trash"
        old=$(mktemp -d "$trash/XXXXXX")
        find "$to" -mindepth 1 -maxdepth 1 -exec mv -t "$old" {} +
    fi
    chown --reference="$from" "$to"
    chmod --reference="$from" "$to"
    find "$from" -mindepth 1 -maxdepth 1 ! -name overlay2 \
        -exec cp --archive --reflink=auto -t "$to" {} +
    set -- "$to"/*
    [ -d "$from/overlay2" ] || return 0
    mkdir "$to/overlay2"
    chown --reference="$from/overlay2" "$to/overlay2"
    chmod --reference="$from/overlay2" "$to/overlay2"
    changing=" l "
    for mount in "$from"/image/overlay2/layerdb/mounts/*/mount-id; do
        [ ! -e "$mount" ] || changing="$changing$(cat "$mount") "
    done
    for layer in "$from"/overlay2/*; do
        name=${layer##*/}
        case "$changing" in
        *" $name "*)
            cp --archive --reflink=auto -t "$to/overlay2" "$layer"
            set -- "$@" "$to/overlay2/$name"
            ;;
        *) cp --archive --link -t "$to/overlay2" "$layer" ;;
        esac
    done
    du --summarize --total --block-size=1K "$@" | tail -n 1 | cut -f 1
}

trash=$1
shift
jobs=
while [ $# -gt 0 ]; do
    copy "$1" "$2" &
    jobs="$jobs $!"
    shift 2
done
for job in $jobs; do
    wait "$job"
done
