#!/usr/bin/env bash
# FRR answers `show bgp l2vpn evpn route json` with text that is no JSON as long as there is no EVPN route.
#
# A good guess: `{}`, as for `show bgp ipv4 vpn json`, or an object that counts nothing. Seen with FRR 10.3 of Debian 13: the object begins with a
# comma, so every JSON parser refuses it (bgpd/bgp_evpn_vty.c, evpn_show_all_routes). A monitor that reads the table in the first seconds of a
# router's life fails then, and works ever after.
#
# Output seen:
#   show bgp ipv4 vpn json: {}
#   show bgp l2vpn evpn route json: { ,"numPrefix":0,"numPaths":0}
# Needs root, mmdebstrap and unshare.
set -euo pipefail
folder=$(mktemp -d)
trap 'umount -l "$folder/root/proc" 2> /dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
mmdebstrap --quiet --variant=apt --include=frr trixie "$folder/root" > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
version=$(chroot "$folder/root" dpkg-query -W -f '${Version}' frr)
[[ $version == 10.3-* ]] || { echo "this is about FRR 10.3, and $version is what there is now" >&2; exit 1; }
cat > "$folder/root/tmp/bgpd.conf" <<'CONF'
router bgp 64512
 bgp router-id 10.0.0.1
 neighbor 10.0.0.2 remote-as 64512
 address-family l2vpn evpn
  neighbor 10.0.0.2 activate
 exit-address-family
CONF
cat > "$folder/root/tmp/ask" <<'ASK'
set -eu
mount -t proc proc /proc
ip link set lo up 2> /dev/null || true
/usr/lib/frr/bgpd --skip_runas -n -d -f /tmp/bgpd.conf -i /tmp/bgpd.pid --vty_socket /tmp
trap 'kill $(cat /tmp/bgpd.pid)' EXIT
for try in 1 2 3 4 5 6 7 8 9 10; do
    vtysh --vty_socket /tmp -c 'show bgp summary' > /dev/null 2>&1 && break
    sleep 0.5
done
for table in 'ipv4 vpn' 'l2vpn evpn route'; do
    echo "show bgp $table json: $(vtysh --vty_socket /tmp -c "show bgp $table json" | tr '\n' ' ' | sed 's/ *$//')"
done
ASK
said=$(unshare --mount --net --pid --fork chroot "$folder/root" sh /tmp/ask 2> /dev/null)
echo "$said"
[[ $said == *'vpn json: {}'* && $said == *'route json: { ,"numPrefix":0,"numPaths":0}'* ]] || { echo "FRR $version does something else" >&2; exit 1; }
