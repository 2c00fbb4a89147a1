# Seconds of `make torture`.
TORTURE ?= 600

.PHONY: help build run test torture bench fuzz fmt lint

# Seconds for each target of `make fuzz`.
TIME ?= 60
# nextest runs all scenarios side by side; without it cargo runs one file after the other.
RUN_TESTS := $(shell command -v cargo-nextest >/dev/null && echo nextest run --no-fail-fast || echo test --no-fail-fast)

help:
	@echo "make run        builds and serves the demonstration configuration"
	@echo "make build      target/release/pillarbox"
	@echo "make test       formatting, lints, and every test, with the summary last"
	@echo "make torture    cuts the power of the simulated flash for TORTURE=600 seconds"
	@echo "make bench      the side-by-side table with a private Dovecot; MESSAGES=2000 makes it shorter"
	@echo "make fuzz       every fuzz target for TIME=60 seconds"
	@echo "make fmt lint   formatting and lints alone"
build:
	cargo build --release
run: build
	target/release/pillarbox run
test: lint
	tests/install-peers.sh
	cargo $(RUN_TESTS)
torture:
	PILLARBOX_TORTURE_SECONDS=$(TORTURE) cargo test --lib store::torture::a_cut -- --nocapture
bench: build
	tests/install-peers.sh
	PILLARBOX=$(CURDIR)/target/release/pillarbox cargo bench --profile dev --bench side_by_side
fuzz:
	fuzz/run.sh $(TIME)
fmt:
	cargo fmt
lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
