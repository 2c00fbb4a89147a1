#!/bin/sh
# deb.sh BINARY ARCH: a Debian package of BINARY, for ARCH in Debian's words, as pillarbox_VERSION_ARCH.deb in $OUT (target/deb).
# The same input gives the same package, bit for bit: times are those of the last commit.
set -eu
cd "$(dirname "$0")/.."
binary=$1 arch=$2
OUT=${OUT:-target/deb}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)${DEB_REVISION:+$DEB_REVISION}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/DEBIAN" "$OUT"
chmod 755 "$root"
DESTDIR=$root PREFIX=/usr UNITDIR=/lib/systemd/system ZSHDIR=vendor-completions dist/install.sh "$binary"

doc=$root/usr/share/doc/pillarbox
install -D -m 644 dist/debian/copyright "$doc/copyright"
install -D -m 644 dist/debian/README.Debian "$doc/README.Debian"
for file in docs/owner.md docs/operator.md docs/changing-over.md docs/connect.md docs/status.schema.json; do install -m 644 "$file" "$doc/"; done
date=$(date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
sed "s|@VERSION@|$version|; s|@DATE@|$date|" dist/debian/changelog >"$doc/changelog"
install -m 644 CHANGELOG.md "$doc/NEWS.md"
gzip -9n "$doc/changelog" "$doc/NEWS.md"
find "$root/usr/share/man" -type f -exec gzip -9n {} +
for script in postinst prerm postrm; do install -m 755 "dist/debian/$script" "$root/DEBIAN/$script"; done

# A binary that is linked dynamically needs the C library whose newest symbols it names; the cross builds need nothing.
depends=
if readelf -d "$binary" 2>/dev/null | grep -q NEEDED; then
  newest=$(readelf -V "$binary" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -Vu | tail -n 1)
  depends="libc6 (>= $newest)"
  readelf -d "$binary" | grep -q libgcc_s && depends="$depends, libgcc-s1"
fi
{
  printf 'Package: pillarbox\nVersion: %s\nArchitecture: %s\nSection: mail\nPriority: optional\n' "$version" "$arch"
  printf 'Maintainer: The Pillarbox team <pillarbox@localhost>\n'
  printf 'Installed-Size: %s\n' "$(du -sk --apparent-size "$root/usr" "$root/lib" | awk '{ sum += $1 } END { print sum }')"
  [ -z "$depends" ] || printf 'Depends: %s\n' "$depends"
  # Without systemd there is no service; the program runs all the same.
  printf 'Recommends: systemd\n'
  cat dist/debian/description
} >"$root/DEBIAN/control"
(cd "$root" && find lib usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
package=$OUT/pillarbox_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
