#!/bin/sh
# Installs the Debian packages whose programs the scenarios run against: real servers to collect from and to send
# through, real clients to read with. Does nothing when all are there. Starts no service: the scenarios start
# private instances on loopback, as a user's test run must not change what a machine serves.
#
# Debian has one mail server a machine: Exim and OpenSMTPD cannot be installed beside Postfix. They are unpacked into
# target/peers, where the scenarios find them, and only the libraries that they need are installed.
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
# What an installation brings is loaded by the real shells and readers.
need zsh /usr/bin/zsh
need fish /usr/bin/fish
need mandoc /usr/bin/mandoc
need python3-jsonschema /usr/lib/python3/dist-packages/jsonschema/__init__.py
need curl /usr/bin/curl
need python3-zeroconf /usr/lib/python3/dist-packages/zeroconf/__init__.py
need iproute2 /usr/sbin/ip
need fetchmail /usr/bin/fetchmail
need getmail6 /usr/bin/getmail
need offlineimap3 /usr/bin/offlineimap
need python3 /usr/bin/python3
need openssl /usr/bin/openssl
need e2fsprogs /usr/sbin/mkfs.ext4
# With it others than root mount the medium that records what reaches it.
need fuse3 /usr/bin/fusermount3
need swaks /usr/bin/swaks
need s-nail /usr/bin/s-nail
need git-email /usr/lib/git-core/git-send-email
need libmailtools-perl /usr/share/perl5/Mail/Address.pm
need libauthen-sasl-perl /usr/share/perl5/Authen/SASL.pm
need libio-socket-ssl-perl /usr/share/perl5/IO/Socket/SSL.pm
# The pages are driven in a browser.
need chromium /usr/bin/chromium
# It sets up an account by itself, reads and sends.
need thunderbird /usr/lib/thunderbird/thunderbird-bin
need npm /usr/bin/npm
need nodejs /usr/bin/node
need node-nodemailer /usr/share/nodejs/nodemailer
need_libraries() { # need_libraries PACKAGE...: those whose files lie elsewhere on each architecture
  for package in "$@"; do
    dpkg-query -s "$package" >/dev/null 2>&1 || missing="$missing $package"
  done
}
# swaks with TLS, and a Postfix that logs in itself.
need_libraries libnet-ssleay-perl libsasl2-modules
# What the unpacked ones need.
need_libraries libdb5.3 libevent-2.1-7 libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0

if [ -n "$missing" ]; then
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
fi

# What is there already stays.
fetch() { # fetch PACKAGE: into the folder where this is called
  apt-get download -q "$1" >/dev/null 2>&1 && return
  become_root "unpacking $1"
  $as_root apt-get update -q >/dev/null
  apt-get download -q "$1" >/dev/null
}
peers=$(dirname "$0")/../target/peers
mkdir -p "$peers"
rm -rf "$peers"/new.*
for package in exim4-daemon-light opensmtpd; do
  [ ! -e "$peers/$package" ] || continue
  new=$(mktemp -d "$peers/new.XXXXXX")
  chmod 755 "$new"
  (cd "$new" && fetch "$package" && dpkg-deb -x ./*.deb . && rm ./*.deb)
  # With this name it is whole.
  mv "$new" "$peers/$package"
done

# What the locked list of the browser's driver names; nothing of it runs at its installation.
npm ci --prefix "$(dirname "$0")/browser" --ignore-scripts --no-audit --no-fund --loglevel=error
