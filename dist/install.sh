#!/bin/sh
# install.sh BINARY: puts the program, its manual, completions and service below $DESTDIR. PREFIX is /usr/local where it is not
# given, UNITDIR and SYSUSERSDIR are $PREFIX/lib/systemd/system and $PREFIX/lib/sysusers.d. Starts nothing.
set -eu
dist=$(cd "$(dirname "$0")" && pwd)
binary=$1
DESTDIR=${DESTDIR-}
PREFIX=${PREFIX:-/usr/local}
UNITDIR=${UNITDIR:-$PREFIX/lib/systemd/system}
SYSUSERSDIR=${SYSUSERSDIR:-$PREFIX/lib/sysusers.d}
share=$DESTDIR$PREFIX/share

put() { # put MODE FILE DEST
  install -D -m "$1" "$2" "$3"
}
put 755 "$binary" "$DESTDIR$PREFIX/bin/pillarbox"
put 644 "$dist/man/pillarbox.1" "$share/man/man1/pillarbox.1"
put 644 "$dist/man/pillarbox.toml.5" "$share/man/man5/pillarbox.toml.5"
put 644 "$dist/completions/pillarbox.bash" "$share/bash-completion/completions/pillarbox"
put 644 "$dist/completions/_pillarbox" "$share/zsh/${ZSHDIR:-site-functions}/_pillarbox"
put 644 "$dist/completions/pillarbox.fish" "$share/fish/vendor_completions.d/pillarbox.fish"
put 644 "$dist/pillarbox.sysusers" "$DESTDIR$SYSUSERSDIR/pillarbox.conf"
# The unit names the program by its whole path.
unit=$(mktemp)
trap 'rm -f "$unit"' EXIT
sed "s|/usr/bin/pillarbox|$PREFIX/bin/pillarbox|" "$dist/pillarbox.service" >"$unit"
put 644 "$unit" "$DESTDIR$UNITDIR/pillarbox.service"
