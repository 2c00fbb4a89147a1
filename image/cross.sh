#!/bin/sh
# cross.sh ARCH [test]: builds target/cross/ARCH/pillarbox, a static binary for armv7 or aarch64; with `test`, runs the
# unit tests that need no peers under QEMU's user emulation.
#
# With rustup's standard library for the target (`rustup target add …`) rustup's compiler is taken. Otherwise Debian's
# compiler, unpacked into target/toolchain beside the system's own, builds the standard library from its source. In both
# cases zig is C compiler, linker and C library (musl), as ring has C and assembly, and Debian has no musl for ARM hosts.
set -eu
cd "$(dirname "$0")/.."

case "${1-}" in
armv7) triple=armv7-unknown-linux-musleabihf qemu=qemu-arm-static ;;
aarch64) triple=aarch64-unknown-linux-musl qemu=qemu-aarch64-static ;;
*)
  echo "cross: ARCH is armv7 or aarch64" >&2
  exit 2
  ;;
esac
arch=$1
task=${2-build}
toolchain=$PWD/target/toolchain
# 3.5 MB is what the slots, the memory of a 64 MiB board and the time to load it were planned for.
limit=3500000

image/install-tools.sh cross
[ "$task" = build ] || image/install-tools.sh test
if [ ! -x "$toolchain/zig/bin/cargo-zigbuild" ]; then
  rm -rf "$toolchain/zig"
  python3 -m venv "$toolchain/zig"
  "$toolchain/zig/bin/pip" install -q ziglang==0.17.1 cargo-zigbuild==0.24.1
fi
export PATH="$toolchain/zig/bin:$PATH"
export CARGO_ZIGBUILD_CACHE_DIR="$toolchain/cache"

variable=CARGO_TARGET_$(echo "$triple" | tr 'a-z-' 'A-Z_')
export CARGO_TARGET_DIR="$PWD/target/cross/build"
# io_uring's interface is the same on every architecture, as its structures hold only types of fixed size, each aligned to
# it; the crate just has no list of its own for 32-bit ARM.
flags="--cfg=io_uring_skip_arch_check"
# Thumb-2, which every ARMv7 has: the same program in a quarter less of memory and of the card.
[ "$arch" != armv7 ] || flags="$flags -Ctarget-feature=+thumb-mode"
# It aborts on a panic: nobody unwinds.
flags="$flags -Cforce-unwind-tables=no"
# Own code is built as small as dependencies are: what a board waits for is the card and the line, and memory it has little.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=z
# Where it was built does not show in the bits; messages name files of crates.
flags="$flags --remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates"
if command -v rustc >/dev/null && [ -d "$(rustc --print target-libdir --target "$triple" 2>/dev/null)" ]; then
  std=rustup
  set -- --target "$triple"
else
  std="Debian rust-web-src"
  # Version and soname belong together: librustc_driver of this version wants this LLVM.
  roots=$(python3 image/packages.py "$(dpkg --print-architecture)" \
    rustc-web cargo-web rust-web-src libstd-rust-web-1.96 libstd-rust-web-dev libllvm22 libz3-4 libedit2 \
    libgit2-1.5 libhttp-parser2.9 libmbedtls14 libmbedx509-1 libmbedcrypto7 libssh2-1)
  debian=$toolchain/debian
  if [ ! -e "$debian/done" ]; then
    rm -rf "$debian"
    mkdir -p "$debian"
    for root in $roots; do cp -a "$root/." "$debian"; done
    touch "$debian/done"
  fi
  for libraries in "$debian"/usr/lib/*-linux-gnu; do
    export LD_LIBRARY_PATH="$libraries"
  done
  export RUSTC="$debian/usr/bin/rustc" CARGO="$debian/usr/bin/cargo"
  # -Zbuild-std is how a compiler without the target's standard library gets one; stable compilers ask for this to allow it.
  export RUSTC_BOOTSTRAP=1
  # The start files (crt1.o) come from zig, not from a self-contained target that is not there.
  flags="$flags -Clink-self-contained=no"
  # Without the printer of backtraces, which has nothing to read in a stripped program without unwinding tables.
  set -- --target "$triple" -Zbuild-std=std,panic_abort -Zbuild-std-features=default
fi

export "${variable}_RUSTFLAGS=$flags"

if [ "$task" = test ]; then
  export "${variable}_RUNNER=$qemu"
  # A minute of power cuts: the 100,000 of a usual run would take an hour in emulation.
  export PILLARBOX_TORTURE_SECONDS="${PILLARBOX_TORTURE_SECONDS-60}"
  # Which the emulator does not have.
  export PILLARBOX_MAY_SKIP="${PILLARBOX_MAY_SKIP-io_uring}"
  # The debug profile, with optimized dependencies: cryptography that is emulated and not optimized takes minutes.
  exec cargo-zigbuild test --lib "$@"
fi
cargo-zigbuild zigbuild --release --bin pillarbox "$@"
mkdir -p "target/cross/$arch"
cp "$CARGO_TARGET_DIR/$triple/release/pillarbox" "target/cross/$arch/pillarbox"
# For the manifest of an image: what is linked into the binary besides crates.
{
  printf 'rust standard library\t%s\tMIT OR Apache-2.0\t%s\n' "$("${RUSTC:-rustc}" --version | cut -d ' ' -f 2)" "$std"
  printf 'musl\tof zig %s\tMIT\tPyPI ziglang\n' "$(python3 -m ziglang version)"
} >"target/cross/$arch/toolchain"
size=$(wc -c <"target/cross/$arch/pillarbox")
if [ "$size" -gt "$limit" ]; then
  echo "cross: target/cross/$arch/pillarbox has $size octets, more than $limit" >&2
  exit 1
fi
echo "target/cross/$arch/pillarbox: $size octets"
