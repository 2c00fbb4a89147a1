# Seconds of `make torture`.
TORTURE ?= 600

# Architecture of `make cross`: armv7 or aarch64.
ARCH ?= armv7
# Board of `make image`: a folder of board/.
BOARD ?= orangepi-pc

.PHONY: help build run install deb release test torture bench costs fuzz fmt lint doc deny cross test-cross image test-image clean clean-image

# Where cargo builds: its own variables are followed.
TARGET := $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)
BINARY := $(TARGET)/release/pillarbox

# Below DESTDIR/PREFIX `make install` puts everything.
PREFIX ?= /usr/local
DESTDIR ?=

# Seconds for each target of `make fuzz`.
TIME ?= 60
# nextest runs all scenarios side by side; without it cargo runs one file after the other.
RUN_TESTS := $(shell command -v cargo-nextest >/dev/null && echo nextest run --no-fail-fast || echo test --no-fail-fast)

RUN_IMAGE := $(shell command -v cargo-nextest >/dev/null && echo nextest run --no-fail-fast --run-ignored only -j 2 --test image || echo test --test image -- --ignored --test-threads 2)

help:
	@echo "make run        builds and serves the demonstration configuration"
	@echo "make build      $(BINARY)"
	@echo "make install    program, manual, completions and systemd service below DESTDIR and PREFIX=/usr/local; builds nothing"
	@echo "make deb        a Debian package in target/deb"
	@echo "make release    binaries, packages, images and checksums of the tag of this version; DRAFT=1 without one"
	@echo "make test       formatting, lints, and every test, with the summary last"
	@echo "make torture    cuts the power of the simulated flash, and kills, for TORTURE=600 seconds"
	@echo "make bench      the side-by-side table with a private Dovecot; MESSAGES=2000 makes it shorter"
	@echo "make costs      octets of the binary, instructions, memory and octets written, beside those of docs/costs.md"
	@echo "make fuzz       every fuzz target for TIME=60 seconds"
	@echo "make cross      a static binary for ARCH=armv7 or aarch64, in target/cross/ARCH"
	@echo "make test-cross its unit tests under QEMU's user emulation"
	@echo "make image      a card image for BOARD=orangepi-pc or another folder of board/, in target/image"
	@echo "make test-image boots the orangepi-pc image in QEMU and plays its scenarios"
	@echo "make clean      all that was built; clean-image: what the two before fetched and made, too"
	@echo "make fmt lint   formatting and lints alone"
	@echo "make doc        the documentation of the code in target/doc, without warnings"
	@echo "make deny       licences, duplicates and sources of the dependencies, by cargo-deny"
build:
	cargo build --release
run: build
	$(BINARY) run
# As root after `make build` as somebody else: so it must not build, which would leave files of root.
install:
	@test -x $(BINARY) || { echo "install: there is no $(BINARY): make build" >&2; exit 1; }
	DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) dist/install.sh $(BINARY)
# Not the binary of `make build`, whose octets tell whose home it was built in.
deb:
	binary=$$(dist/build.sh) && dist/deb.sh "$$binary" "$$(dpkg --print-architecture)"
release:
	dist/release.sh
test: lint
	tests/install-peers.sh
	cargo $(RUN_TESTS)
torture:
	PILLARBOX_TORTURE_SECONDS=$(TORTURE) cargo test --lib store::engine::torture -- --nocapture
bench: build
	tests/install-peers.sh
	PILLARBOX=$(abspath $(BINARY)) cargo bench --profile dev --bench side_by_side
# Needs valgrind. `make costs COSTS=--update` writes docs/costs.md, COSTS=--check ends with 1 where something grew by a tenth.
costs:
	CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --target-dir $(TARGET)/costs
	strip -s -o $(TARGET)/costs/pillarbox $(TARGET)/costs/release/pillarbox
	benches/costs.py $(TARGET)/costs/pillarbox $(TARGET)/costs/release/pillarbox $(COSTS)
fuzz:
	fuzz/run.sh $(TIME)
fmt:
	cargo fmt
lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	# The fuzz targets build, too; in their own folder, so that neither this nor the other is built anew.
	cd fuzz && RUSTC_BOOTSTRAP=1 RUSTFLAGS="--cfg fuzzing -D warnings" cargo check --locked --quiet
# The documentation of the code; a link that leads nowhere ends it.
doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --quiet
# Licences, duplicates and sources of what is in the binary; needs cargo-deny, and no network but the crates themselves.
deny:
	cargo deny --offline check bans licenses sources
cross:
	image/cross.sh $(ARCH)
	image/busybox.sh $(ARCH)
test-cross:
	image/cross.sh $(ARCH) test
# UPDATE_KEY, a minisign secret key, signs an update file and puts its public key (UPDATE_PUB) into the image.
image: export UPDATE_KEY := $(UPDATE_KEY)
image: export UPDATE_PUB := $(UPDATE_PUB)
image: export CMDLINE := $(CMDLINE)
image:
	image/install-tools.sh image
	arch=$$(python3 image/board.py $(BOARD)) && $(MAKE) --no-print-directory cross ARCH=$$arch
	python3 image/build.py $(BOARD)
# The scenarios boot a board dozens of times; two at once is what two cores can do.
test-image: export UPDATE_KEY := test
test-image:
	tests/install-peers.sh
	image/install-tools.sh qemu
	$(MAKE) --no-print-directory image BOARD=orangepi-pc
	# The same input gives the same image, bit for bit.
	mv target/image/orangepi-pc.img target/image/first.img
	python3 image/build.py orangepi-pc >/dev/null
	cmp target/image/first.img target/image/orangepi-pc.img
	rm -f target/image/first.img target/image/measured
	cargo $(RUN_IMAGE)
	@sort target/image/measured
clean:
	cargo clean
# The compiler, the packages and the images; the next build takes the packages of that day.
clean-image:
	rm -rf target/cross target/image target/packages target/toolchain
