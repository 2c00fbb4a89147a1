#!/bin/sh
# build.sh [TRIPLE]: builds the binary of a release or a package, for this machine unless TRIPLE says otherwise, and says where it is.
#
# Where and by whom it was built does not show in its octets. In a folder of its own: with other flags everything is built anew.
set -eu
cd "$(dirname "$0")/.."
triple=${1:-$(rustc -vV | sed -n 's/^host: //p')}
CARGO_TARGET_DIR=$PWD/target/release-build
RUSTFLAGS="--remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates"
export CARGO_TARGET_DIR RUSTFLAGS
cargo build --release --locked --target "$triple" >&2
echo "target/release-build/$triple/release/pillarbox"
