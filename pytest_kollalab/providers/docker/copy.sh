#!/bin/sh
# Copies what the docker daemon of a node keeps. The layers of images never change once they are
# there, and what runs writes into layers of its own: so they are linked, and only what changes
# is copied. That costs no room and no reading, on any file system.
#   copy TRASH FROM TO [FROM TO]...
# What TO has and FROM has not goes into TRASH first, a folder on the same file system; a layer that
# both have stays where it is. Prints the size in KiB of what was copied, a line for each TO.
set -eu

copy() {
    from=$1 to=$2
    changing=" l "
    for mount in "$from"/image/overlay2/layerdb/mounts/*/mount-id; do
        [ ! -e "$mount" ] || changing="$changing$(cat "$mount") "
    done
    mkdir -p "$to"
    if [ -n "$(ls -A "$to")" ]; then
        mkdir -p "$trash"
        old=$(mktemp -d "$trash/XXXXXX")
        find "$to" -mindepth 1 -maxdepth 1 ! -name overlay2 -exec mv -t "$old" {} +
        for layer in "$to"/overlay2/*; do
            name=${layer##*/}
            case "$changing" in
            *" $name "*) ;;
            *) [ ! -d "$from/overlay2/$name" ] || continue ;;
            esac
            [ ! -e "$layer" ] || mv -t "$old" "$layer"
        done
    fi
    chown --reference="$from" "$to"
    chmod --reference="$from" "$to"
    find "$from" -mindepth 1 -maxdepth 1 ! -name overlay2 \
        -exec cp --archive --reflink=auto -t "$to" {} +
    set --
    for entry in "$to"/*; do
        [ "$entry" = "$to/overlay2" ] || set -- "$@" "$entry"
    done
    if [ -d "$from/overlay2" ]; then
        mkdir -p "$to/overlay2"
        chown --reference="$from/overlay2" "$to/overlay2"
        chmod --reference="$from/overlay2" "$to/overlay2"
        for layer in "$from"/overlay2/*; do
            name=${layer##*/}
            case "$changing" in
            *" $name "*)
                cp --archive --reflink=auto -t "$to/overlay2" "$layer"
                set -- "$@" "$to/overlay2/$name"
                ;;
            *)
                [ ! -d "$to/overlay2/$name" ] || continue
                # Whole or not at all, for whoever finds it there after a kill.
                cp --archive --link -T "$layer" "$to/overlay2/$name.half"
                mv -T "$to/overlay2/$name.half" "$to/overlay2/$name"
                ;;
            esac
        done
    fi
    [ $# -eq 0 ] || du --summarize --total --block-size=1K "$@" | tail -n 1 | cut -f 1
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
