#!/usr/bin/env bash
# Ansible's rabbitmq_user changes a password by the management API, and says that it failed.
#
# A good guess: told the address and login of RabbitMQ's management API (login_host and so on), the module does what it does by rabbitmqctl, and
# with `update_password: always` a new password is a change. Seen with community.rabbitmq 1.6.0 of Ansible 12.3.0 and RabbitMQ 4.0.5 of Debian 13:
# the password is changed, and the task fails, since the module takes 204, with which RabbitMQ answers, for an error (rabbitmq_user.py,
# change_password: each status ends in fail_json). Run again the task is ok and has changed nothing.
#
# Output seen:
#   by the API: failed, Error trying to set tags for the user guest2 in rabbitmq. Status code '204'.
#   the new password: authenticates
#   by the API again: ok
# Needs root, mmdebstrap and unshare.
set -euo pipefail
folder=$(mktemp -d)
trap 'umount -l "$folder/root/proc" 2> /dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
mmdebstrap --quiet --variant=apt --include=rabbitmq-server,python3-venv,iproute2,mount,procps trixie "$folder/root" > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check download --no-deps --only-binary :all: --dest "$folder" ansible==12.3.0
"$folder/venv/bin/pip" --quiet --disable-pip-version-check download --only-binary :all: --python-version 3.13 --dest "$folder/root/tmp/wheels" ansible-core==2.19.14 requests==2.32.5
chroot "$folder/root" python3 -m venv /tmp/venv
chroot "$folder/root" sh -c '/tmp/venv/bin/pip install --quiet --no-index --find-links /tmp/wheels ansible-core requests'
mkdir -p "$folder/root/tmp/collections"
unzip -q "$folder"/ansible-12.3.0-*.whl 'ansible_collections/community/rabbitmq/*' -d "$folder/root/tmp/collections"
echo '127.0.0.1 localhost' > "$folder/root/etc/hosts"
cat > "$folder/root/tmp/play.yml" <<'PLAY'
- hosts: localhost
  gather_facts: false
  tasks:
    - community.rabbitmq.rabbitmq_user:
        user: guest2
        password: "{{ wanted }}"
        update_password: always
        vhost: /
        configure_priv: .*
        read_priv: .*
        write_priv: .*
        login_host: 127.0.0.1
        login_user: boss
        login_password: boss-password
PLAY
cat > "$folder/root/tmp/ask" <<'ASK'
set -eu
mount -t proc proc /proc
ip link set lo up 2> /dev/null || true
export HOME=/root NODENAME=rabbit@localhost RABBITMQ_NODENAME=rabbit@localhost ANSIBLE_COLLECTIONS_PATH=/tmp/collections
rabbitmq-plugins --offline enable rabbitmq_management > /dev/null
rabbitmq-server > /tmp/server.log 2>&1 &
for try in {1..120}; do
    rabbitmqctl --quiet await_startup > /dev/null 2>&1 && break
    sleep 0.5
done
rabbitmqctl --quiet await_startup > /dev/null || { cat /tmp/server.log >&2; exit 1; }
rabbitmqctl --quiet add_user boss boss-password && rabbitmqctl --quiet set_user_tags boss administrator
rabbitmqctl --quiet add_user guest2 first && rabbitmqctl --quiet set_permissions -p / guest2 '.*' '.*' '.*'
play() {
    /tmp/venv/bin/ansible-playbook -c local -i localhost, -e ansible_python_interpreter=/tmp/venv/bin/python -e "wanted=$1" /tmp/play.yml 2>&1
}
outcome() {
    case $1 in
    *failed=1*) echo "failed, $(printf '%s' "$1" | sed -n 's/.*"msg": "\(Error trying[^"]*\)".*/\1/p' | head -1)" ;;
    *changed=1*) echo changed ;;
    *) echo ok ;;
    esac
}
echo "by the API: $(outcome "$(play second)")"
echo "the new password: $(rabbitmqctl --quiet authenticate_user guest2 second > /dev/null 2>&1 && echo authenticates || echo refused)"
echo "by the API again: $(outcome "$(play second)")"
rabbitmqctl --quiet stop
ASK
said=$(unshare --mount --net --pid --fork chroot "$folder/root" bash /tmp/ask)
echo "$said"
[[ $said == *'by the API: failed, Error trying'* && $said == *'password: authenticates'* && $said == *'again: ok'* ]] ||
    { echo "these versions do something else" >&2; exit 1; }
