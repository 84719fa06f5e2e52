export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical NEEDRESTART_MODE=l APT_LISTCHANGES_FRONTEND=none LC_ALL=C
t=$(mktemp -d) || exit 1
cleanup() { rm -rf "$t"; }
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
deadline=$(($(date +%s) + lock_timeout))

# Says who holds the lock file that apt complained about, when apt itself does not say it.
holder() {
	f=$(sed -n 's/.*get lock \([^ ]*[^. ]\).*/\1/p' "$t/err" | head -n 1)
	i=$(stat -c %i "${f:-/var/lib/dpkg/lock-frontend}" 2>/dev/null) || return 0
	p=$(awk -v i="$i" '$2 != "->" { n = split($6, a, ":"); if (a[n] == i) { print $5; exit } }' /proc/locks 2>/dev/null)
	[ -n "$p" ] && echo "hactl: lock held by process $p ($(cat "/proc/$p/comm" 2>/dev/null))"
}

# apt-get, once more as long as another process holds a lock (its own waiting would not tell who that is), and after
# finishing what a crash interrupted.
apt() {
	mended=
	while :; do
		left=$((deadline - $(date +%s)))
		[ "$left" -gt 0 ] || left=0
		apt-get -y -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=0 "$@" >"$t/out" 2>"$t/err" </dev/null
		rc=$?
		[ "$rc" -eq 0 ] && break
		if grep -q 'dpkg was interrupted' "$t/err" && [ -z "$mended" ]; then
			mended=yes
			dpkg --force-confdef --force-confold --configure -a >>"$t/mend" 2>&1 </dev/null
			continue
		fi
		# What a crash left unpacked without its dependencies; nothing is removed to get out of it.
		if grep -q 'fix-broken' "$t/err" && [ -z "$mended" ]; then
			mended=yes
			apt-get -y -q -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
				--no-remove -f install >>"$t/mend" 2>&1 </dev/null && continue
		fi
		grep -Eq 'Could not get lock|Unable to (lock|acquire)' "$t/err" || break
		grep -q 'held by process' "$t/err" || holder >>"$t/err"
		[ "$left" -gt 0 ] || break
		grep 'held by process' "$t/err" >>"$t/waited"
		sleep 1
	done
	cat "$t/out"
	cat "$t/err" >&2
	if [ "$rc" -eq 0 ] && [ -e "$t/waited" ]; then cat "$t/waited" >&2; fi
	if [ "$rc" -ne 0 ] && ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then echo 'hactl: no package lists' >&2; fi
	return "$rc"
}

# Whether an installed package provides the name, and no package has it as its own name.
provided() {
	[ -e "$t/provides" ] || dpkg-query -W -f '${db:Status-Status} ${Provides}\n' >"$t/provides" 2>/dev/null
	awk -v n="$1" '$1 == "installed" { gsub(/\([^)]*\)|,/, " "); for (i = 2; i <= NF; i++) if ($i == n) f = 1 } END { exit !f }' "$t/provides" || return 1
	! apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [0-9]'
}

lists() { find /var/lib/apt/lists -maxdepth 1 -type f ! -name lock -printf '%f %s %T@\n' 2>/dev/null | sort | cksum; }
dpkg_state() { cksum </var/lib/dpkg/status 2>/dev/null; }
