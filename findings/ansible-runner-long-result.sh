#!/usr/bin/env bash
# ansible-runner gives an event of a failed task without its result when that is longer than 700,000 characters.
#
# A good guess: the event of a failed task has what the task said, perhaps cut to a limit. Seen with ansible-runner 2.4.3 and
# ansible-core 2.19.14: `event_data["res"]` is `{}`: message, standard error and return code are gone, not cut, and nothing in the event says so
# (display_callback/callback/awx_display.py, event_context: MAX_EVENT_RES). The variable MAX_EVENT_RES of the environment raises the limit.
#
# Output seen:
#   short: res has changed, cmd, delta, end, exception, msg, rc, start, stderr, stderr_lines, stdout, stdout_lines
#   long: res has nothing
#   long, MAX_EVENT_RES=9000000: res has changed, cmd, delta, end, exception, msg, rc, start, stderr, stderr_lines, stdout, stdout_lines
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ansible-runner==2.4.3 ansible-core==2.19.14
export PATH="$folder/venv/bin:$PATH" LC_ALL=C.UTF-8
cat > "$folder/run.py" <<'PYTHON'
import pathlib, sys

import ansible_runner

folder, size, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
(folder / f"run-{size}-{limit}").mkdir()
words = [sys.executable, "-c", f"import sys; print('x' * {size}); sys.exit('no space left')"]
play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [{"command": {"argv": words}}]}]
run = ansible_runner.run(
    private_data_dir=str(folder / f"run-{size}-{limit}"),
    playbook=play,
    inventory={"all": {"hosts": {"localhost": {"ansible_python_interpreter": sys.executable}}}},
    envvars={"MAX_EVENT_RES": limit} if limit != "-" else {},
    quiet=True,
)
(failed,) = (e["event_data"] for e in run.events if e["event"] == "runner_on_failed")
print(", ".join(sorted(k for k in failed["res"] if not k.startswith("_") and k != "invocation")) or "nothing")
PYTHON
has() { python "$folder/run.py" "$folder" "$@"; }
short=$(has 10 -) long=$(has 800000 -) raised=$(has 800000 9000000)
printf 'short: res has %s\nlong: res has %s\nlong, MAX_EVENT_RES=9000000: res has %s\n' "$short" "$long" "$raised"
[[ $short == *msg* && $long == nothing && $raised == *stderr* ]] || { echo "ansible-runner does something else now" >&2; exit 1; }
