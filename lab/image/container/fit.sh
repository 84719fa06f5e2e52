#!/bin/sh
# Fits the new root $1 to life in a container.
set -eu
root=$1
# What has no meaning, or would reach the machine's own kernel, in a container.
for unit in getty@tty1.service console-getty.service systemd-udevd.service systemd-udev-trigger.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-modules-load.service kmod-static-nodes.service \
    systemd-networkd-wait-online.service dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-journald-audit.socket \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/sysctl.d"
for file in "$root"/usr/lib/sysctl.d/*.conf; do
    [ -e "$file" ] && ln -sf /dev/null "$root/etc/sysctl.d/${file##*/}"
done
