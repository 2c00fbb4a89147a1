#!/bin/sh
# install-tools.sh [cross|image|qemu|test]: installs the Debian packages of the programs that a card image is made with (or
# a cross-built binary, or its test), where they are missing. Everything for the board itself is only unpacked (packages.py).
set -eu

# shellcheck source=image/debian.sh
. "$(dirname "$0")/debian.sh"
need python3 /usr/bin/python3
need python3-venv /usr/share/python-wheels
need ca-certificates /etc/ssl/certs/ca-certificates.crt
case "${1-image}" in
cross)
  need binutils-arm-linux-gnueabihf /usr/bin/arm-linux-gnueabihf-strip
  need binutils-aarch64-linux-gnu /usr/bin/aarch64-linux-gnu-strip
  # For busybox, and for what runs on this machine while crates are built.
  need gcc /usr/bin/gcc
  need libc6-dev /usr/include/stdio.h
  need make /usr/bin/make
  need dpkg-dev /usr/bin/dpkg-source
  ;;
test)
  need qemu-user-static /usr/bin/qemu-arm-static
  ;;
image | qemu)
  need u-boot-tools /usr/bin/mkimage
  need device-tree-compiler /usr/bin/dtc
  need dosfstools /usr/sbin/mkfs.vfat
  need mtools /usr/bin/mcopy
  need kmod /usr/sbin/depmod
  need minisign /usr/bin/minisign
  ;;
esac
if [ "${1-image}" = qemu ]; then
  need qemu-system-arm /usr/bin/qemu-system-arm
  # The router and the sticks that a board finds at home.
  need dnsmasq-base /usr/sbin/dnsmasq
  need iproute2 /usr/sbin/ip
  need exfatprogs /usr/sbin/mkfs.exfat
  need e2fsprogs /usr/sbin/debugfs
fi
[ -n "$missing" ] || exit 0

become_root "building for a board"
install_missing
