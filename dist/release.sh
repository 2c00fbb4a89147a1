#!/bin/sh
# release.sh: everything of a version, from the tag vVERSION of a clean tree, in target/release-VERSION: binaries for x86-64,
# ARMv7 and AArch64, Debian packages of all three, an image for every board, the manifest of each, and SHA256SUMS over all of it.
#
# An untagged or changed tree is refused, since nobody could build the same again. DRAFT=1 builds it all the same, and calls it
# VERSION-draft.COMMIT, with `.changed` behind it where files are changed. ONLY="x86-64 armv7 aarch64 images" takes some of the parts.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
commit=$(git rev-parse --short=12 HEAD)
changed=$(git status --porcelain)
tag=$(git describe --tags --exact-match --match "v$version" 2>/dev/null || true)
name=$version
DEB_REVISION=
if [ "$tag" != "v$version" ] || [ -n "$changed" ]; then
  if [ "${DRAFT-}" != 1 ]; then
    if [ -n "$changed" ]; then
      echo "release: files are changed and not committed: commit or remove them (git status); DRAFT=1 builds a draft" >&2
    else
      echo "release: this commit has no tag v$version (of Cargo.toml): git tag v$version; DRAFT=1 builds a draft" >&2
    fi
    exit 1
  fi
  draft=draft.$commit
  [ -z "$changed" ] || draft=$draft.changed
  name=$version-$draft
  # Debian's sign for what comes before: the release itself is newer.
  DEB_REVISION=~$draft
fi
export DEB_REVISION
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
only=${ONLY:-x86-64 armv7 aarch64 images}
wants() { # wants PART
  case " $only " in *" $1 "*) return 0 ;; esac
  return 1
}

out=target/release-$name
rm -rf "$out"
mkdir -p "$out"
debian() { # debian BINARY ARCH
  OUT=$out dist/deb.sh "$1" "$2" >/dev/null
}

if wants x86-64; then
  binary=$(dist/build.sh x86_64-unknown-linux-gnu)
  cp "$binary" "$out/pillarbox-$name-x86-64"
  debian "$binary" amd64
fi
for arch in armv7 aarch64; do
  if wants "$arch"; then
    make --no-print-directory cross ARCH="$arch"
    cp "target/cross/$arch/pillarbox" "$out/pillarbox-$name-$arch"
    case $arch in
    armv7) debian "target/cross/$arch/pillarbox" armhf ;;
    aarch64) debian "target/cross/$arch/pillarbox" arm64 ;;
    esac
  fi
done
if wants images; then
  for board in $(python3 image/board.py --names); do
    make --no-print-directory image BOARD="$board"
    xz -9 -T1 -c "target/image/$board.img" >"$out/pillarbox-$name-$board.img.xz"
    cp "target/image/$board.manifest" "$out/pillarbox-$name-$board.manifest"
    # The update file, where UPDATE_KEY signed one.
    update=target/image/$board.pbu
    [ -z "${UPDATE_KEY-}" ] || cp "$update" "$out/pillarbox-$name-$board.pbu"
  done
fi

# What it was made of and with, besides the images' own manifests.
{
  echo "pillarbox $name"
  echo "commit $(git rev-parse HEAD)"
  echo "time $(date -u -d "@$SOURCE_DATE_EPOCH" '+%Y-%m-%dT%H:%M:%SZ')"
  echo "parts $only"
  echo "compiler $(rustc --version)"
  echo "Cargo.lock $(sha256sum Cargo.lock | cut -d ' ' -f 1)"
} >"$out/manifest.txt"
(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
echo "$out:"
cat "$out/SHA256SUMS"
