#!/bin/sh
# Runs every fuzz target for so many seconds, from its seeds and what earlier runs have found, and says at the end which
# have found a defect. `cargo fuzz` wants options that only a nightly compiler takes, or a stable one that is told so.
set -eu
seconds=${1:-60}
cd "$(dirname "$0")"
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
export RUSTC_BOOTSTRAP=1
cargo fuzz build
failed=""
for target in $(cargo fuzz list); do
  echo "=== $target"
  mkdir -p "corpus/$target" "seeds/$target"
  seeds="seeds/$target"
  # The messages of the tests are the seeds of their parser, too.
  [ "$target" != message ] || seeds="$seeds ../tests/data/corpus"
  # Words of the protocol, where the target has a list of them.
  words=""
  [ ! -f "dictionaries/$target" ] || words="-dict=dictionaries/$target"
  # shellcheck disable=SC2086 # a list of folders
  cargo fuzz run "$target" "corpus/$target" $seeds -- $words -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 -verbosity=0 || failed="$failed $target"
done
[ -z "$failed" ] || { echo "defects found by:$failed (see fuzz/artifacts)"; exit 1; }
