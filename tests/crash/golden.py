"""A small lab whose golden state travels: `golden.py FOLDER LAB TAG REGISTRY-IMAGE PLACE VERB`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.travel import TELL, TOLD, Traveller

if __name__ == "__main__":
    folder, lab, tag, image, place, verb = sys.argv[1:]
    there = Traveller(Path(folder), lab, tag, image, place)
    if verb == "deploy":
        there.up()
        there.save()
    elif verb == "up":
        there.up()
        there.run("controller-1", f"until [ \"$({TELL})\" = '{TOLD}' ]; do sleep 1; done")
    elif verb == "push":
        there.push()
    else:
        there.down()
    sys.stdout.write("".join(f"{line}\n" for line in there.said))
