#!/bin/sh
# A cable whose other end is in a network namespace of its own, without any route: there a server gives addresses.
set -eu
[ -e /run/netns/nat ] || ip netns add nat
if [ ! -e /sys/class/net/enp0s17 ]; then
    ip link add enp0s17 type veth peer name nat netns nat
fi
ip -n nat -batch - <<'EOF'
link set lo up
address replace 10.0.2.2/24 dev nat
link set nat up
EOF
