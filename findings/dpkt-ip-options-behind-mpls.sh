#!/usr/bin/env bash
# dpkt takes an IPv4 packet with options behind an MPLS label for an Ethernet frame.
#
# A good guess: behind the bottom label dpkt looks at the version of the IP header, as routers do, and finds IPv4 whatever the length of that header.
# Seen with dpkt 1.9.8: only a first byte of 0x45, a header without options, counts as IPv4. With options (0x46 and more: Router Alert, record
# route) the packet is read as a pseudowire: an Ethernet frame whose addresses are parts of the IP header (dpkt/ethernet.py, Ethernet._unpack_data).
#
# Output seen:
#   label 100, IPv4 without options: IP 10.0.0.1
#   label 100, IPv4 with router alert: Ethernet 46:00:00:25:00:00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dpkt==1.9.8
said=$("$folder/venv/bin/python" - <<'PYTHON'
import socket
import struct

import dpkt

LABEL = struct.pack(">I", 100 << 12 | 1 << 8 | 64)


def frame(options):
    udp = dpkt.udp.UDP(sport=1, dport=2, data=b"hello", ulen=13)
    ip = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=17, opts=options, data=udp)
    ip.hl = 5 + len(options) // 4
    ip.len = len(ip)
    raw = bytes.fromhex("020000000001020000000002") + b"\x88\x47" + LABEL + bytes(ip)
    return dpkt.ethernet.Ethernet(raw)


for name, options in (("without options", b""), ("with router alert", b"\x94\x04\0\0")):
    inner = frame(options).data
    shown = socket.inet_ntoa(inner.src) if isinstance(inner, dpkt.ip.IP) else inner.dst.hex(":")
    print(f"label 100, IPv4 {name}: {type(inner).__name__} {shown}")
PYTHON
)
echo "$said"
wanted='label 100, IPv4 without options: IP 10.0.0.1
label 100, IPv4 with router alert: Ethernet 46:00:00:25:00:00'
[[ $said == "$wanted" ]] || { echo "dpkt does something else now" >&2; exit 1; }
