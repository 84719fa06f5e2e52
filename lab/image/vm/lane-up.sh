#!/bin/sh
# Moves the third adapter into a network namespace of its own, where no route, rule or netplan of the host reaches it.
set -eu
mkdir -p /run/sshd
[ -e /run/netns/lane ] || ip netns add lane
[ ! -e /sys/class/net/enp0s30 ] || ip link set enp0s30 netns lane
ip -n lane link set lo up
ip -n lane address replace 10.0.3.15/24 dev enp0s30
ip -n lane link set enp0s30 up
ip -n lane route replace default via 10.0.3.2
