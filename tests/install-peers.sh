#!/bin/sh
# Installs the Debian packages whose programs the scenarios run against: real servers to collect from and to send
# through, real clients to read with. Does nothing when all are there. Starts no service: the scenarios start
# private instances on loopback, as a user's test run must not change what a machine serves.
set -eu

# shellcheck source=image/debian.sh
. "$(dirname "$0")/../image/debian.sh"
need dovecot-imapd /usr/lib/dovecot/imap-login
need dovecot-pop3d /usr/lib/dovecot/pop3-login
need dovecot-lmtpd /usr/lib/dovecot/lmtp
need postfix /usr/lib/postfix/sbin/master
need mpop /usr/bin/mpop
need msmtp /usr/bin/msmtp
need isync /usr/bin/mbsync
need gsasl /usr/bin/gsasl
need curl /usr/bin/curl
need fetchmail /usr/bin/fetchmail
need getmail6 /usr/bin/getmail
need offlineimap3 /usr/bin/offlineimap
need python3 /usr/bin/python3
need openssl /usr/bin/openssl
need e2fsprogs /usr/sbin/mkfs.ext4
# With it others than root mount the medium that records what reaches it.
need fuse3 /usr/bin/fusermount3
[ -n "$missing" ] || exit 0

become_root "a run of all tests"

# With this file in place no package starts its service (invoke-rc.d(8)); it goes away again unless it was there before.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
  trap '$as_root rm -f "$policy"' EXIT
fi
# Without an answer to its question, postfix would configure a server of its own for this machine.
echo "postfix postfix/main_mailer_type select No configuration" | $as_root debconf-set-selections
install_missing
