.PHONY: help build run test fmt lint
help:
	@echo "make run | build | test | fmt | lint"
build:
	cargo build --release
run: build
	target/release/pillarbox run
test: lint
	cargo test
fmt:
	cargo fmt
lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
