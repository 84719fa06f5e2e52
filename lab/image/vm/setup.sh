#!/bin/sh
# At the first boot of a lab host: unpacks the host's keys, name and network as its machine hands them over.
# Afterwards the host's own files decide, as on any server.
set -eu
modprobe qemu_fw_cfg
seed=/sys/firmware/qemu_fw_cfg/by_name/opt/hactl
tar -xpf "$seed/files/raw" -C /
for user in ops opspw; do
    install -m 0600 -o "$user" -g "$user" ~root/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
done
hostname -F /etc/hostname
# Few rounds: an emulated processor would work on the usual number for seconds.
printf 'opspw:%s\n' "$(cat "$seed/password/raw")" | chpasswd -c SHA512 -s 1000
# systemd ran its generators before these files were there; from the next boot on it does this by itself.
cd /run/systemd
rm -f generator/netplan.stamp
/usr/lib/systemd/system-generators/netplan generator generator.early generator.late
# A power cut must not leave a host that believes to be ready and is not.
sync
touch /var/lib/hactl-lab-ready
