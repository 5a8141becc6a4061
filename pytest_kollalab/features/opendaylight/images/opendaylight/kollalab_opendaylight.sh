#!/bin/bash
# Runs OpenDaylight with a wire of its own to the reflector. On the tunnel network it would have the
# address of the node, from which the node's own BGP speaker already has a session.
set -eu
namespace=$1 device=$2 own=$3 reflector=$4 port=$5
home=/opt/opendaylight
logs=/var/log/kolla/opendaylight

mkdir -p "$logs" "$home/data/state" "$home/data/instances" "$home/data/tmp"
chown -R opendaylight:kolla "$logs"
chown opendaylight:opendaylight "$home/data" "$home/data/state" "$home/data/instances" "$home/data/tmp"
chmod 755 "$logs"

# The namespace is the reflector's, whose container may start later.
until ip -n "$namespace" link show lo >/dev/null 2>&1; do sleep 1; done
if ! ip link show "$device" >/dev/null 2>&1; then
    ip link add "$device" type veth peer name opendaylight netns "$namespace"
fi
ip address replace "$own" dev "$device"
ip link set "$device" up
ip -n "$namespace" address replace "$reflector" dev opendaylight
ip -n "$namespace" link set opendaylight up

# At its first start it has the password that everybody knows. Until that is replaced by the lab's,
# nobody else can reach it: Karaf takes a changed address at once. The inner shell is nobody's
# child, so that it is waited for when it ends.
listening=$home/etc/org.ops4j.pax.web.cfg
replaced=$home/data/state/password-is-replaced
loopback=http://127.0.0.1:$port
first_login() {
    until kollalab_opendaylight_answers "$loopback"; do
        curl -q -sS --fail --max-time 20 --output /dev/null --config /etc/opendaylight/first-login || true
        sleep 1
    done
    touch "$replaced"
    cp /etc/opendaylight/listening "$listening"
}
if [ ! -e "$replaced" ]; then
    [ -e /etc/opendaylight/listening ] || cp "$listening" /etc/opendaylight/listening
    sed -i -E 's/^(org\.ops4j\.pax\.web\.listening\.addresses|jetty\.host) = .*/\1 = 127.0.0.1/' "$listening"
    (first_login >/dev/null 2>&1 &)
fi

cd "$home"
export KARAF_LOG=$logs JAVA_HOME=/usr/lib/jvm/java-21-openjdk-amd64
# A process that was killed leaves its PID, which may be another's now.
rm -f "$home/karaf.pid" "$home/lock"
exec setpriv --reuid opendaylight --regid opendaylight --init-groups \
    --inh-caps=-all --bounding-set=-all bin/karaf daemon
