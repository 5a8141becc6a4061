#!/usr/bin/env bash
# Open vSwitch's trace says that a select group has no live bucket, while it delivers every packet.
#
# A good guess: `ovs-appctl ofproto/trace` tells the bucket that a packet takes, since a trace is what the switch would do with it. Seen with Open
# vSwitch 3.5.0 of Debian 13: in a group without a selection method, which networking-sfc makes for each hop of a port chain, the trace ends with
# "no live bucket" and names no port, for each packet; the counters of the same group show that both buckets deliver. The bucket is chosen by a hash
# that the datapath makes of the packet, after a recirculation that the trace does not follow (ofproto/ofproto-dpif-xlate.c,
# pick_dp_hash_select_group). The only sign is `hash(...),recirc(N)` among the datapath actions: a second trace of a flow with recirc_id(N) and a
# dp_hash goes on, for a hash of one's own choice. With selection_method=hash (OpenFlow 1.5) the trace tells the bucket.
#
# Output seen:
#   the trace: group:1 -> no live bucket
#   datapath actions: hash(sym_l4(0)),recirc(N)
#   40 packets with 40 ports: 40 delivered, by both buckets
#   the trace of recirc_id(N) with a hash: group:1 -> using bucket 1
#   the trace with selection_method=hash: group:1 -> using a bucket
# Needs root, mmdebstrap and unshare. The datapath is Open vSwitch's own in userspace, with dummy ports.
set -euo pipefail
folder=$(mktemp -d)
trap 'umount -l "$folder/root/proc" 2> /dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
mmdebstrap --quiet --variant=apt --include=openvswitch-switch,iproute2,mount trixie "$folder/root" > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
version=$(chroot "$folder/root" dpkg-query -W -f '${Version}' openvswitch-switch)
[[ $version == 3.5.* ]] || { echo "this is about Open vSwitch 3.5, and $version is what there is now" >&2; exit 1; }
cat > "$folder/root/tmp/ask" <<'ASK'
set -eu
mount -t proc proc /proc
ip link set lo up 2> /dev/null || true
export OVS_RUNDIR=/tmp/run OVS_LOGDIR=/tmp/run OVS_DBDIR=/tmp/run
mkdir /tmp/run
ovsdb-tool create /tmp/run/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /tmp/run/conf.db --remote=punix:/tmp/run/db.sock --pidfile --detach --no-chdir -vconsole:off -vsyslog:off
ovs-vsctl --no-wait init -- set Open_vSwitch . other_config:max-idle=600000
ovs-vswitchd --enable-dummy=override --disable-system --pidfile --detach --no-chdir -vconsole:off -vsyslog:off
ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure protocols=OpenFlow13,OpenFlow15
for port in 1 2 3; do
    ovs-vsctl add-port br0 p$port -- set interface p$port type=dummy ofport_request=$port
done
ovs-ofctl -O OpenFlow13 add-group br0 'group_id=1,type=select,bucket=output:2,bucket=output:3'
ovs-ofctl -O OpenFlow13 add-flow br0 'ip,in_port=1,actions=group:1'

trace() { ovs-appctl ofproto/trace "$@"; }
chosen() { sed -n '/group:1/,/bucket$\|using bucket/p' | grep -v score | tr -s ' \n' ' ' | sed 's/ $//'; }
mac='dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02'
packet="in_port=1,tcp,$mac,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tcp_src=1,tcp_dst=80"
first=$(trace br0 "$packet")
echo "the trace:$(printf '%s\n' "$first" | chosen)"
actions=$(printf '%s\n' "$first" | sed -n 's/^Datapath actions: //p')
echo "datapath actions: $actions" | sed 's/recirc(0x[0-9a-f]*)/recirc(N)/'

for source in $(seq 40); do
    ovs-appctl netdev-dummy/receive p1 "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),\
ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=$source,dst=80),tcp_flags(syn)"
done
for try in $(seq 40); do
    ovs-appctl revalidator/wait
    counted=$(ovs-ofctl -O OpenFlow13 dump-group-stats br0 | sed -n 's/.*,packet_count=\([0-9]*\),byte_count=[0-9]*,bucket0:packet_count=\([0-9]*\),.*bucket1:packet_count=\([0-9]*\),.*/\1 \2 \3/p')
    [ "${counted%% *}" = 40 ] && break
    sleep 0.25
done
set -- $counted
echo "40 packets with 40 ports: $1 delivered, by $([ "$2" -gt 0 ] && [ "$3" -gt 0 ] && echo both buckets || echo one bucket)"

number=$(ovs-appctl dpctl/dump-flows | sed -n 's/.*actions:hash.*recirc(\(0x[0-9a-f]*\)).*/\1/p')
later="recirc_id($number),dp_hash(0x1),in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),\
ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=80)"
echo "the trace of recirc_id(N) with a hash:$(trace ovs-dummy "$later" | sed '1,/Restoring actions/d' | chosen)"

ovs-ofctl -O OpenFlow15 mod-group br0 'group_id=1,type=select,selection_method=hash,fields(ip_src,ip_dst,tcp_src),bucket=output:2,bucket=output:3'
echo "the trace with selection_method=hash:$(trace br0 "$packet" | chosen | sed 's/bucket [01]/a bucket/')"
ovs-appctl -t ovs-vswitchd exit
ovs-appctl -t ovsdb-server exit
ASK
said=$(unshare --mount --net --pid --fork chroot "$folder/root" bash /tmp/ask)
echo "$said"
[[ $said == *'the trace: group:1 -> no live bucket'* && $said == *'hash(sym_l4(0)),recirc(N)'* &&
    $said == *': 40 delivered, by both buckets'* && $said == *'with a hash: group:1 -> using bucket'* &&
    $said == *'selection_method=hash: group:1 -> using a bucket'* ]] || { echo "Open vSwitch $version does something else" >&2; exit 1; }
