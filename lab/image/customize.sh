#!/bin/sh
# Runs on this machine inside mmdebstrap, with the new root as $1: fills the local package repository and makes a lab
# host of the system. HACTL_REPOSITORY names the packages, HACTL_FILES the folder of files, HACTL_KIND the script that
# knows whether it is to be a container or a virtual machine, HACTL_PACKED the sections whose packages stay compressed.
set -eu
root=$1
repo=$root/srv/apt

mkdir -p "$repo/partial"
try=1
until APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --download-only --no-install-recommends \
    -o Acquire::Retries=5 -o "Dir::Cache::archives=$repo" install $HACTL_REPOSITORY; do
    [ "$try" -lt 4 ] || exit 1
    try=$((try + 1))
    sleep 2
done
# apt keeps the packages that the first step installed elsewhere; a role may name them too, and finds them installed.
rm -rf "$repo/partial" "$repo/lock"

cd "$repo"
for deb in *%3a*; do
    [ -e "$deb" ] || continue
    mv "$deb" "$(printf '%s' "$deb" | sed 's/%3a/./g')"
done
for deb in *.deb; do
    # To decompress is dear on an emulated processor. As in other small images there are no manual pages either: PostgreSQL's
    # clients link their two hundred with some processes for each.
    case " ${HACTL_PACKED:-all} " in
    *" all "* | *" $(dpkg-deb -f "$deb" Section) "*) ;;
    *)
        dpkg-deb --raw-extract "$deb" unpacked
        find unpacked -path '*/usr/share/*' -type d -name man -prune -exec rm -rf {} +
        [ ! -e unpacked/DEBIAN/md5sums ] || sed -i '\|/man/|d' unpacked/DEBIAN/md5sums
        dpkg-deb --build -Znone unpacked "$deb" >/dev/null
        rm -rf unpacked
        ;;
    esac
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d' ' -f1)"
done >Packages
{
    printf 'Origin: hactl lab\nLabel: hactl lab\nSuite: lab\nCodename: lab\nDate: %s\n' "$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')"
    printf 'SHA256:\n %s %s Packages\n' "$(sha256sum <Packages | cut -d' ' -f1)" "$(stat -c %s Packages)"
} >Release
cd /

rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/var/lib/apt/lists/*
mkdir -p "$root/var/lib/apt/lists/partial"
echo 'deb [trusted=yes] file:/srv/apt ./' >"$root/etc/apt/sources.list.d/lab.list"
cp -a "$HACTL_FILES"/. "$root/"
chmod 0440 "$root"/etc/sudoers.d/lab
chmod 0755 "$root"/usr/local/lib/hactl-lab/setup
chroot "$root" apt-get update

chroot "$root" useradd -m -s /bin/bash ops
chroot "$root" useradd -m -s /bin/bash opspw
chroot "$root" systemctl enable lab-setup.service
sh "$HACTL_KIND" "$root"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
: >"$root/etc/resolv.conf"
rm -f "$root"/var/log/*.log "$root"/var/log/apt/*
