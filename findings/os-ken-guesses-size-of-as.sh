#!/usr/bin/env bash
# os-ken, with which neutron-dynamic-routing speaks BGP, guesses from an AS path whether its numbers have two bytes or four, and may be wrong.
#
# A good guess: the size is known from the session, as RFC 6793 has it: a speaker that has offered AS numbers of four bytes gets them. Seen with
# os-ken 4.2.2: the parser does not know the session. It takes a path for one of two bytes whenever the octets can be read that way
# (os_ken/lib/packet/bgp.py, _is_valid_16bit_as_path). So some paths of four bytes are told as others, without an error: that of a neighbour whose number
# ends in the octets 02 00, such as the private 4200006144, and those of three with 02 02 in the middle. What os-ken itself has written is no exception.
#
# Output seen:
#   written [4200006143], read [4200006143]
#   written [4200006144], read [64087] and an empty segment
#   written [64512, 4200006146, 64513], read [0, 64512, 64087] and [0, 64513]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check os-ken==4.2.2
cat > "$folder/run.py" <<'PYTHON'
from os_ken.lib.packet import bgp

for path in ([4200006143], [4200006144], [64512, 4200006146, 64513]):
    attributes = [
        bgp.BGPPathAttributeOrigin(value=0),
        bgp.BGPPathAttributeAsPath(value=[path], as_pack_str="!I"),
        bgp.BGPPathAttributeNextHop(value="10.0.0.1"),
    ]
    update = bgp.BGPUpdate(path_attributes=attributes, nlri=[bgp.BGPNLRI(24, "10.77.1.0")])
    message, _, _ = bgp.BGPMessage.parser(bytes(update.serialize()))
    (found,) = (each.value for each in message.path_attributes if each.type == bgp.BGP_ATTR_TYPE_AS_PATH)
    print(f"written {path}, read", " and ".join(str(segment) if segment else "an empty segment" for segment in found))
PYTHON
said=$("$folder/venv/bin/python" -W ignore "$folder/run.py")
echo "$said"
[[ $said == *'[4200006143], read [4200006143]'* && $said == *'[4200006144], read [64087] and an empty segment'* &&
    $said == *'read [0, 64512, 64087] and [0, 64513]' ]] || { echo "os-ken does something else now" >&2; exit 1; }
