#!/bin/sh
# busybox.sh ARCH: builds target/cross/ARCH/busybox, static, from the source of Debian's package.
#
# Debian's own busybox-static has no ntpd, and most of it is of no use here: this one is less than half of its size, which
# is memory on the device.
set -eu
cd "$(dirname "$0")/.."

case "${1-}" in
armv7) target="arm-linux-musleabihf -mcpu=generic+v7a+vfp3d16" ;;
aarch64) target="aarch64-linux-musl" ;;
*)
  echo "busybox: ARCH is armv7 or aarch64" >&2
  exit 2
  ;;
esac
out=$PWD/target/cross/$1
[ ! -e "$out/busybox" ] || [ image/busybox.config -nt "$out/busybox" ] || [ image/busybox.sh -nt "$out/busybox" ] || exit 0

export PATH="$PWD/target/toolchain/zig/bin:$PATH"
source=$(python3 image/packages.py "$(dpkg --print-architecture)" source:busybox)
build=$PWD/target/cross/busybox-$1
rm -rf "$build"
mkdir -p "$build" "$out"
# The time in its banner is part of the bits.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}" KCONFIG_NOTIMESTAMP=1
# zig's linker ends with an error at what it does not know; these only warn and explain.
cat >"$build/cc" <<END
#!/bin/sh
for word in "\$@"; do
  shift
  case \$word in
  -Wl,--warn-common | -Wl,--verbose | -Wl,-Map,* | -finline-limit=* | -falign-jumps=* | -falign-labels=*) ;;
  *) set -- "\$@" "\$word" ;;
  esac
done
exec python3 -m ziglang cc -target $target "\$@"
END
chmod +x "$build/cc"
# Pointers to a program's variables that are said to be constant, which gcc believes until they are set, and clang for ever.
sed -i 's/struct globals \*const/struct globals */; s/int \*const bb_errno/int *bb_errno/; s/# define BB_GLOBAL_CONST const/# define BB_GLOBAL_CONST/' \
  "$source/include/libbb.h" "$source/libbb/ptr_to_globals.c"
sed -i 's/\*const /* /' "$source/shell/ash_ptr_hack.c" "$source/coreutils/test_ptr_hack.c"
make -s -C "$source" O="$build" allnoconfig >/dev/null 2>&1
# What is wanted takes the place of the "is not set"; what else a wanted thing asks for gets its default.
cut -d = -f 1 image/busybox.config | grep '^CONFIG' | sed 's/.*/^(# )?&[ =]/' >"$build/names"
grep -v -E -f "$build/names" "$build/.config" >"$build/rest"
cat "$build/rest" image/busybox.config >"$build/.config"
yes '' | make -s -C "$build" oldconfig >/dev/null 2>&1
make -s -C "$build" -j"$(nproc)" SKIP_STRIP=y CC="$build/cc" AR="python3 -m ziglang ar" HOSTCC=cc \
  busybox busybox.links >"$build/log" 2>&1 || {
  tail -n 20 "$build/log" >&2
  exit 1
}
cp "$build/busybox.links" "$out/"
# Debian's tools strip it, as zig has none.
case $1 in
armv7) arm-linux-gnueabihf-strip -o "$out/busybox" "$build/busybox" ;;
*) aarch64-linux-gnu-strip -o "$out/busybox" "$build/busybox" ;;
esac
printf 'busybox\t%s\tGPL-2\tDebian busybox (source), image/busybox.config\n' "$(cat target/packages/source/busybox.version)" >"$out/busybox.manifest"
