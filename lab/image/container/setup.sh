#!/bin/sh
# First thing at every boot of a lab host: takes the container runtime's hands off the files that a role may want
# to replace, and, at the first boot, installs the host's keys, name and users.
set -u
for file in /etc/hostname /etc/hosts /etc/resolv.conf; do
    while umount "$file" 2>/dev/null; do :; done
done
# The machine's own disks are no business of a lab host.
for device in /dev/*; do
    if [ -b "$device" ]; then rm -f "$device"; fi
done
if [ ! -e /var/lib/hactl-lab-ready ]; then
    hostname >/etc/hostname
    printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost ip6-localhost ip6-loopback\n' "$(hostname)" >/etc/hosts
    install -m 0600 /lab/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key
    install -m 0644 /lab/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ed25519_key.pub
    for user in root ops opspw; do
        home=$(getent passwd "$user" | cut -d: -f6)
        install -d -m 0700 -o "$user" -g "$user" "$home/.ssh"
        install -m 0600 -o "$user" -g "$user" /lab/authorized_keys "$home/.ssh/authorized_keys"
    done
    printf 'opspw:%s\n' "$(cat /lab/opspw-password)" | chpasswd
    # The lab's router tells the time; chrony looks for sources here once it is installed.
    router=$(ip -4 route show default | sed -n 's/^default via \([0-9.]*\).*/\1/p')
    install -d /etc/chrony/sources.d
    [ -z "$router" ] || echo "server $router iburst" >/etc/chrony/sources.d/lab.sources
    touch /var/lib/hactl-lab-ready
fi
hostname -F /etc/hostname
umount /lab 2>/dev/null
exit 0
