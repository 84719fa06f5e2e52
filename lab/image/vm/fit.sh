#!/bin/sh
# Fits the new root $1 to life in a virtual machine that is often emulated: what no lab asks for is not started.
set -eu
root=$1
chmod 0755 "$root"/usr/local/lib/hactl-lab/*
chroot "$root" systemctl enable systemd-networkd.service lab-lane.service
for unit in getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyAMA0.service kmod-static-nodes.service \
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-pstore.service \
    modprobe@efi_pstore.service modprobe@drm.service modprobe@dm_mod.service modprobe@loop.service modprobe@fuse.service \
    modprobe@configfs.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
echo localhost >"$root/etc/hostname"
printf '/dev/vda / ext4 errors=remount-ro 0 1\n' >"$root/etc/fstab"
# The kernel is given to the machine from outside, so nobody waits for a new initramfs when a package wants one.
sed -i 's/^update_initramfs=.*/update_initramfs=no/' "$root/etc/initramfs-tools/update-initramfs.conf"
