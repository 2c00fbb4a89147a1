# debian.sh: Debian packages whose programs are missing. Sourced, by scripts that say with `need` what they need.
# shellcheck shell=sh

missing=""
need() { # need PACKAGE FILE: the package is missing unless the file is there
  [ -e "$2" ] || missing="$missing $1"
}

# become_root WHAT: sets as_root, with which a command runs as root; ends the script where nobody may, and says what to do.
become_root() {
  if [ "$(id -u)" = 0 ]; then
    as_root=""
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo"
  else
    echo "$1 needs Debian packages; install them once with: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  echo "installing what $1 needs:$missing"
}

install_missing() {
  apt_install || { $as_root apt-get update -q >/dev/null && apt_install; }
}

apt_install() {
  # shellcheck disable=SC2086 # a list of packages
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}
