#!/usr/bin/env bash
# FRR writes a route target with an AS of four bytes as it writes one of two bytes, and imports only one of them. Distinguishers as well.
#
# A good guess: two route targets that FRR shows alike are the same, so a route that has the target which a VRF imports is imported. Seen with FRR
# 10.3 and GoBGP 3.36 of Debian 13: 64512:100 can be sent as a two-octet AS specific community (type 0x00), or as a four-octet one (type 0x02, RFC 5668; some
# routers write it 64512L:100, GoBGP 0.64512:100). FRR shows both as RT:64512:100 in text and in JSON, with no field for the type
# (bgpd/bgp_ecommunity.c, ecommunity_rt_soo_str_internal), and `rt vpn import 64512:100` takes the first kind only; nothing says why. Route distinguishers have the same
# two kinds, and are written alike as well: in `show bgp ipv4 vpn json` they are names in one object, so it has a name twice, and a JSON parser gives
# fewer routes than FRR counts.
#
# Output seen:
#   GoBGP: 10.77.1.0/24 [64512:100], 10.77.2.0/24 [0.64512:100]
#   FRR: 10.77.1.0/24 RT:64512:100, imported
#   FRR: 10.77.2.0/24 RT:64512:100, not imported
#   routes with the distinguishers 64512:79 and 0.64512:79: FRR counts 2, JSON has 1
# Needs root, mmdebstrap and unshare.
set -euo pipefail
folder=$(mktemp -d)
trap 'umount -l "$folder/root/proc" 2> /dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
mmdebstrap --quiet --variant=apt --include=frr,gobgpd,iproute2,mount,python3 trixie "$folder/root" > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
version=$(chroot "$folder/root" dpkg-query -W -f '${Version}' frr)
[[ $version == 10.3-* ]] || { echo "this is about FRR 10.3, and $version is what there is now" >&2; exit 1; }
cat > "$folder/root/tmp/bgpd.conf" <<'CONF'
router bgp 64512
 bgp router-id 10.0.0.1
 neighbor 10.0.0.2 remote-as 64512
 neighbor 10.0.0.2 passive
 address-family ipv4 unicast
  rd vpn export 64512:1
  rt vpn both 64512:100
  import vpn
 exit-address-family
 address-family ipv4 vpn
  neighbor 10.0.0.2 activate
 exit-address-family
CONF
cat > "$folder/root/tmp/gobgpd.toml" <<'CONF'
[global.config]
  as = 64512
  router-id = "10.0.0.2"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "10.0.0.1"
    peer-as = 64512
  [neighbors.transport.config]
    local-address = "10.0.0.2"
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "l3vpn-ipv4-unicast"
CONF
cat > "$folder/root/tmp/tell.py" <<'PYTHON'
import json

routes, unicast = json.load(open("/tmp/vpn.json")), json.load(open("/tmp/unicast.json"))
found = routes["routes"]["routeDistinguishers"]
for rd, prefix in (("64512:77", "10.77.1.0/24"), ("64512:78", "10.77.2.0/24")):
    (path,) = found[rd][prefix]
    target = path["extendedCommunity"]["string"]
    print(f"FRR: {prefix} {target}, {'imported' if prefix in unicast['routes'] else 'not imported'}")
others = sum(len(prefixes) for rd, prefixes in found.items() if rd not in ("64512:77", "64512:78"))
print(f"routes with the distinguishers 64512:79 and 0.64512:79: FRR counts {routes['totalRoutes'] - 2}, JSON has {others}")
PYTHON
cat > "$folder/root/tmp/ask" <<'ASK'
set -eu
mount -t proc proc /proc
ip link set lo up && ip address add 10.0.0.1/32 dev lo && ip address add 10.0.0.2/32 dev lo
/usr/lib/frr/bgpd --skip_runas -n -d -f /tmp/bgpd.conf -i /tmp/bgpd.pid --vty_socket /tmp
gobgpd -f /tmp/gobgpd.toml > /dev/null 2>&1 &
trap 'kill $(cat /tmp/bgpd.pid) %1' EXIT
for try in $(seq 40); do gobgp global > /dev/null 2>&1 && break; sleep 0.5; done
add() { gobgp global rib add -a vpnv4 "$1" label "$2" rd "$3" rt "$4" nexthop 10.0.0.2; }
add 10.77.1.0/24 100 64512:77 64512:100
add 10.77.2.0/24 101 64512:78 0.64512:100
add 10.77.3.0/24 102 64512:79 64512:100
add 10.77.3.0/24 103 0.64512:79 64512:100
kinds=$(gobgp global rib -a vpnv4 | sed -n 's/.*64512:7[78]:\(10[0-9./]*\) .*Extcomms: \(\[[^]]*\]\).*/\1 \2/p' | sort | paste -sd ,)
echo "GoBGP: ${kinds/,/, }"
ask() { vtysh --vty_socket /tmp -c "$1"; }
for try in $(seq 120); do
    ask 'show bgp ipv4 vpn' | grep -q 'Displayed 4 routes' && ask 'show bgp ipv4 unicast' | grep -q 10.77.3 && break
    sleep 0.5
done
ask 'show bgp ipv4 vpn detail json' > /tmp/vpn.json
ask 'show bgp ipv4 unicast json' > /tmp/unicast.json
python3 /tmp/tell.py
ASK
said=$(unshare --mount --net --pid --fork chroot "$folder/root" bash /tmp/ask 2> /dev/null)
echo "$said"
[[ $said == *'10.77.2.0/24 [0.64512:100]'* && $said == *'10.77.1.0/24 RT:64512:100, imported'* &&
    $said == *'10.77.2.0/24 RT:64512:100, not imported'* && $said == *'FRR counts 2, JSON has 1'* ]] || { echo "FRR $version does something else" >&2; exit 1; }
