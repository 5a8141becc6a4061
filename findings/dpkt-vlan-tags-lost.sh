#!/usr/bin/env bash
# dpkt loses the outer VLAN tags of a frame that has three of them, or two service tags (802.1ad).
#
# A good guess: `Ethernet.vlan_tags` has every tag in its order, as it has for one tag and for two of 802.1Q. Seen with dpkt 1.9.8: with a third tag, or
# with a service tag behind a service tag, only the last tag is there; nothing says that others were (dpkt/ethernet.py, Ethernet._unpack_data:
# what follows the tags that it reads is unpacked as a frame again, which begins a new list).
#
# Output seen:
#   802.1Q 10, 20: [10, 20] IP
#   802.1ad 10, 802.1Q 20: [10, 20] IP
#   802.1Q 10, 20, 30: [30] IP
#   802.1ad 10, 20: [20] IP
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dpkt==1.9.8
said=$("$folder/venv/bin/python" - <<'PYTHON'
import struct

import dpkt

udp = dpkt.udp.UDP(sport=1, dport=2, data=b"hello", ulen=13)
ip = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=17, data=udp)
ip.len = len(ip)
Q, AD = 0x8100, 0x88A8


def tags(name, *found):
    raw = bytes.fromhex("020000000001020000000002")
    raw += b"".join(struct.pack(">HH", kind, number) for kind, number in found)
    frame = dpkt.ethernet.Ethernet(raw + b"\x08\x00" + bytes(ip))
    print(f"{name}: {[tag.id for tag in frame.vlan_tags]} {type(frame.data).__name__}")


tags("802.1Q 10, 20", (Q, 10), (Q, 20))
tags("802.1ad 10, 802.1Q 20", (AD, 10), (Q, 20))
tags("802.1Q 10, 20, 30", (Q, 10), (Q, 20), (Q, 30))
tags("802.1ad 10, 20", (AD, 10), (AD, 20))
PYTHON
)
echo "$said"
wanted='802.1Q 10, 20: [10, 20] IP
802.1ad 10, 802.1Q 20: [10, 20] IP
802.1Q 10, 20, 30: [30] IP
802.1ad 10, 20: [20] IP'
[[ $said == "$wanted" ]] || { echo "dpkt does something else now" >&2; exit 1; }
