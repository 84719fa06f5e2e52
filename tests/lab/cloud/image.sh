#!/bin/sh
# Builds a cloud image as a distribution gives it out: a disk with a partition table, a boot loader, a kernel and
# cloud-init, and nobody who could log in. $1 is the file to make, $2 a folder to work in.
# Needs no loop device and mounts nothing: the file system and the boot loader are written into the disk as bytes.
set -eu
target=$1
work=$2
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
# The mirrors that the machine's own apt uses; none is named here.
sources() {
    apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
        awk -F'|' -v suite="$suite" '
            ($1 == "Debian" || $1 == "Ubuntu") && ($2 == suite || index($2, suite "-") == 1) && $4 !~ /backports/ {
                print "deb " $3, $4, $5
            }' | sort -u
}
[ -n "$(sources)" ] || apt-get -o Acquire::Retries=5 update
sources >"$work/sources.list"
[ -s "$work/sources.list" ] || { echo "the machine's apt knows no mirror for $suite" >&2; exit 1; }

# Belongs to root and may be entered by all: the new root is below it.
chmod 0755 "$work"
packages=linux-image-cloud-amd64,systemd-sysv,dbus,libpam-systemd,udev,initramfs-tools,zstd,e2fsprogs,fdisk,cloud-init
packages=$packages,cloud-guest-utils,netplan.io,openssh-server,sudo,iproute2,iputils-ping,procps,kmod,ca-certificates,curl
mmdebstrap --quiet --mode=root --variant=minbase --format=directory --include="$packages" \
    --aptopt='Acquire::Retries "5"' --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --customize-hook='echo cloud >"$1/etc/hostname"' \
    --customize-hook='echo "LABEL=cloudimg / ext4 defaults 0 1" >"$1/etc/fstab"' \
    --customize-hook='chroot "$1" systemctl enable systemd-networkd.service' \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/var/lib/dbus/machine-id' \
    --customize-hook=': >"$1/etc/machine-id"' \
    "$suite" "$work/root" - <"$work/sources.list"

# Like Debian's own: any adapter asks for an address.
cat >"$work/root/etc/netplan/90-default.yaml" <<CONFIG
network:
  version: 2
  ethernets:
    all-en:
      match: {name: "en*"}
      dhcp4: true
      dhcp6: true
CONFIG
chmod 0600 "$work/root/etc/netplan/90-default.yaml"

mkdir -p "$work/root/boot/grub"
kernel=$(cd "$work/root/boot" && echo vmlinuz-*)
cat >"$work/root/boot/grub/grub.cfg" <<CONFIG
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
linux /boot/$kernel root=LABEL=cloudimg ro console=ttyS0
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
CONFIG

# One partition from the first MiB on; the boot loader has the room before it.
disk=$work/disk.raw
truncate -s 3G "$disk"
echo 'label: dos
start=2048, type=83, bootable' | sfdisk --quiet "$disk"
mkfs.ext4 -q -F -L cloudimg -E offset=1048576 -d "$work/root" "$disk" $((3 * 1024 * 1024 - 1024))k
rm -rf "$work/root"
boot=/usr/lib/grub/i386-pc
grub-mkimage -O i386-pc -o "$work/core.img" -p '(hd0,msdos1)/boot/grub' \
    biosdisk part_msdos ext2 normal linux configfile serial terminal echo
[ "$(stat -c %s "$work/core.img")" -le $((2047 * 512)) ]
dd if="$boot/boot.img" of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none
qemu-img convert -O qcow2 -c "$disk" "$work/image.qcow2"
mv "$work/image.qcow2" "$target"
