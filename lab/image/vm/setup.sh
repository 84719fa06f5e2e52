#!/bin/sh
# At the first boot of a lab host: unpacks the host's keys, name and network as its machine hands them over.
# Afterwards the host's own files decide, as on any server.
set -eu
if modprobe -q qemu_fw_cfg && [ -d /sys/firmware/qemu_fw_cfg ]; then
    told=/sys/firmware/qemu_fw_cfg/by_name/opt/hactl
    files=$told/files/raw password=$told/password/raw
else
    told=/run/hactl-lab
    mkdir -m 0700 -p "$told"
    mount -t hostfs none "$told"
    files=$told/files password=$told/password
fi
tar -xpf "$files" -C /
# A kernel that is a process brings its modules.
[ ! -e "$told/modules" ] || tar -xpf "$told/modules" -C /usr/lib/modules
for user in ops opspw; do
    install -m 0600 -o "$user" -g "$user" ~root/.ssh/authorized_keys "/home/$user/.ssh/authorized_keys"
done
hostname -F /etc/hostname
# Few rounds: an emulated processor would work on the usual number for seconds.
printf 'opspw:%s\n' "$(cat "$password")" | chpasswd -c SHA512 -s 1000
! mountpoint -q /run/hactl-lab || umount /run/hactl-lab
# systemd ran its generators before these files were there; from the next boot on it does this by itself.
cd /run/systemd
rm -f generator/netplan.stamp
/usr/lib/systemd/system-generators/netplan generator generator.early generator.late
# A power cut must not leave a host that believes to be ready and is not.
sync
touch /var/lib/hactl-lab-ready
