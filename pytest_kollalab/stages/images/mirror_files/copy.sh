# One image: copy.sh SOURCE DESTINATION ARCHIVE; options come from the environment.
# 255 makes xargs stop: what failed is to be the last thing that is said.
set -eu
copy() {
    # shellcheck disable=SC2086
    skopeo copy --quiet --retry-times 2 "$@" || { echo "failed $source"; exit 255; }
}
source=$1
local=docker://127.0.0.1:$PORT/$2
# shellcheck disable=SC2086
copy --src-tls-verify="$TLS" $AUTH $CERTS --dest-tls-verify=false --dest-authfile /run/own.json \
    "docker://$source" "$local"
if [ "$3" != - ]; then
    copy --src-tls-verify=false --src-authfile /run/own.json "$local" "docker-archive:/spool/$3:$2"
fi
echo "mirrored $2"
