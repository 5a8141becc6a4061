# Runs on a node: prints what can be seen there of a span of time, as base64 of a compressed tar archive.
# Arguments: when the span began and ended (seconds since 1970 of this clock), how many seconds all of this may take.
set -u
umask 077
since=$1 until=$2 budget=$3
most=2000000   # bytes of one log, its end
# What logs said before the span tells what they always say. Those of Kolla have it anyway.
earlier=$((${since%.*} - 600))
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
trap 'exit 1' HUP INT TERM
cd "$here" || exit 1
mkdir containers kolla others ovs

echo "$since $until $(date +%z)" > window
export since earlier until most

# take FILE COMMAND...: what it prints goes into the file; what it could not do is told in `problems`.
take() {
    file=$1
    shift
    {
        timeout -k 1 "$budget" "$@" > "$file" 2>&1 < /dev/null
        code=$?
        case $code in
            0) ;;
            124 | 137) echo "$file: not complete after $budget s" >> problems ;;
            *) echo "$file: exit code $code" >> problems ;;
        esac
    } &
}

take docker-ps docker ps --all --no-trunc --size=false \
    --format 'table {{.Names}}\t{{.Status}}\t{{.Image}}\t{{.CreatedAt}}'
take containers.err sh -c '
    docker ps --all --format "{{.Names}}" | xargs -r -P 4 -I NAME sh -c "
        docker logs --timestamps --since $earlier --until $until NAME 2>&1 | tail -c $most > containers/NAME.log"'
take journal sh -c '
    journalctl --quiet --no-pager --output short-iso-precise --since "@$earlier" --until "@$until" | tail -c "$most"'
# A log that was not written to since the span began has nothing of it.
take kolla.err sh -c '
    cd /var/log/kolla/ 2> /dev/null || exit 0
    find . -type f -size +0 -newermt "@$since" | while read -r log; do
        mkdir -p "$OLDPWD/kolla/${log%/*}"
        tail -c "$most" "$log" > "$OLDPWD/kolla/$log"
    done'
take namespaces sh -c '
    echo "$(ip netns list | wc -l) namespaces"
    ip netns list
    ip netns list | cut -d " " -f 1 | while read -r name; do
        echo; echo "== $name"
        ip -n "$name" address; ip -n "$name" route; ip -n "$name" neighbour
        ip netns pids "$name" | xargs -r ps -o pid,args -p
    done'
take network sh -c 'ip -details address; echo; ip rule; ip route show table all; echo; ip neighbour; echo; ss -tlnp'
take system sh -c 'date; uptime; free -m; df -h; systemctl --failed --no-pager; ps -eo pid,ppid,etime,rss,stat,args'
# The newest version of OpenFlow that a bridge speaks of these: OVN's tells its groups in 1.5 only.
# One visit for all bridges: entering a container is what costs. The lines between marks become files.
take ovs.err sh -c '
    docker container inspect openvswitch_vswitchd > /dev/null 2>&1 || exit 0
    docker exec openvswitch_vswitchd sh -c "
        echo @@ show; ovs-vsctl --timeout=5 show
        for bridge in \$(ovs-vsctl --timeout=5 list-br); do
            ofctl=\"ovs-ofctl -t 5 -O OpenFlow13,OpenFlow15\"
            echo @@ \$bridge.flows;  \$ofctl dump-flows  \$bridge
            echo @@ \$bridge.groups; \$ofctl dump-groups \$bridge; \$ofctl dump-group-stats \$bridge
            echo @@ \$bridge.ports;  \$ofctl dump-ports-desc \$bridge; \$ofctl dump-ports \$bridge
            echo @@ \$bridge.macs;   ovs-appctl -T 5 fdb/show \$bridge
        done
        echo @@ datapath.flows; ovs-appctl -T 5 dpctl/dump-flows -m
    " 2>&1 | awk "/^@@ /{ if (f) close(f); f = \"ovs/\" \$2; next } f { print > f }"
    # Tables without an entry have only a heading.
    grep -LEv "^(OFPST_GROUP| *port  VLAN  MAC)" ovs/*.groups ovs/*.macs 2> /dev/null | xargs -r rm'
# OTHERS
wait
find . -name '*.err' -size 0 -delete
tar -cf - . | gzip -1 | base64 -w 0
