#!/bin/sh
# Fits the new root $1 to life in a virtual machine that is often emulated: what no lab asks for is not started.
set -eu
root=$1
install -d -m 0700 "$root/usr/local/lib/hactl-lab/keys"
chroot "$root" sh -c 'install -d -m 0700 ~root/.ssh'
for user in ops opspw; do
    chroot "$root" install -d -m 0700 -o "$user" -g "$user" "/home/$user/.ssh"
done
# What any image for machines brings: libraries, languages, tools. An emulated processor then unpacks only the services. So
# do a packet filter and a time source: to configure chrony took over two minutes of a first deploy on a busy machine.
chroot "$root" apt-get install --yes --quiet=2 --no-install-recommends chrony nftables \
    $(awk -v RS= -v FS='\n' -v sections=" $HACTL_PACKED " '{
        name = section = ""
        for (i = 1; i <= NF; i++) {
            if ($i ~ /^Package: /) name = substr($i, 10)
            if ($i ~ /^Section: /) section = substr($i, 10)
        }
        if (index(sections, " " section " ")) print name
    }' "$root/srv/apt/Packages")
chroot "$root" systemctl enable systemd-networkd.service lab-lane.service lab-nat.service
for unit in getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyAMA0.service kmod-static-nodes.service \
    dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-pstore.service \
    modprobe@efi_pstore.service modprobe@drm.service modprobe@dm_mod.service modprobe@loop.service modprobe@fuse.service \
    modprobe@configfs.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/systemd/system-generators"
for generator in cryptsetup debug getty gpt-auto hibernate-resume integritysetup rc-local run ssh system-update tpm2 veritysetup; do
    ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done
# The first boot has nothing to bring up to date: this is the system as it was installed.
touch "$root/etc/.updated" "$root/var/.updated"
echo localhost >"$root/etc/hostname"
printf '/dev/vda / ext4 errors=remount-ro 0 1\n' >"$root/etc/fstab"
# The drivers in the initramfs are two and known by name: nobody needs to look for devices there.
rm -f "$root"/usr/share/initramfs-tools/hooks/udev "$root"/usr/share/initramfs-tools/scripts/*/udev
chroot "$root" update-initramfs -u
# The kernel is given to the machine from outside, so nobody waits for a new initramfs when a package wants one.
sed -i 's/^update_initramfs=.*/update_initramfs=no/' "$root/etc/initramfs-tools/update-initramfs.conf"
