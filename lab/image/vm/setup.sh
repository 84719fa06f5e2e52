#!/bin/sh
# At the first boot of a lab host: installs the host's keys, name, users and network as its machine hands them over.
# Afterwards the host's own files decide, as on any server.
set -eu
modprobe qemu_fw_cfg
seed=/sys/firmware/qemu_fw_cfg/by_name/opt/hactl
give() {
    (umask 077 && cat "$seed/$1/raw" >"$3")
    chmod "$2" "$3"
}
give name 0644 /etc/hostname
hostname -F /etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost ip6-localhost ip6-loopback\n' "$(hostname)" >/etc/hosts
give host-key 0600 /etc/ssh/ssh_host_ed25519_key
give host-key.pub 0644 /etc/ssh/ssh_host_ed25519_key.pub
mkdir -p -m 0700 /usr/local/lib/hactl-lab/keys
give host-key 0600 /usr/local/lib/hactl-lab/keys/host
give authorized 0600 /usr/local/lib/hactl-lab/keys/authorized
for user in root ops opspw; do
    home=$(getent passwd "$user" | cut -d: -f6)
    install -d -m 0700 -o "$user" -g "$user" "$home/.ssh"
    install -m 0600 -o "$user" -g "$user" /usr/local/lib/hactl-lab/keys/authorized "$home/.ssh/authorized_keys"
done
# Few rounds: an emulated processor would work on the usual number for seconds.
printf 'opspw:%s\n' "$(cat "$seed/password/raw")" | chpasswd -c SHA512 -s 1000
give netplan 0600 /etc/netplan/01-netcfg.yaml
# systemd ran its generators before this file was there; from the next boot on it does this by itself.
(cd /run/systemd && rm -f generator/netplan.stamp && /usr/lib/systemd/system-generators/netplan generator generator.early generator.late)
# A power cut must not leave a host that believes to be ready and is not.
sync
touch /var/lib/hactl-lab-ready
sync
