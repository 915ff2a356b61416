# shellcheck shell=bash
# common.sh ARCH: sourced by setup. Sets HERE, GUEST (the work folder target/guest), W ($GUEST/ARCH), and defines
# apt_private: apt that reads the machine's own package sources, for ARCH, with its state in $GUEST and never the machine's.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin # depmod, for plain users
HERE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
GUEST=${CARGO_TARGET_DIR:-$ROOT/target}/guest
die() { echo "guest: $*" >&2; exit 1; }
say() { echo "guest: $*" >&2; }

# To add an architecture: its name here, its QEMU program in setup, its machine in run.
case ${1-} in
amd64) ARCH=amd64 ;;
*) die "usage: $(basename "$0") amd64" ;;
esac
W=$GUEST/$ARCH
mkdir -p "$W"

# The package sources of the machine that belong to Debian, one "deb" line each.
debian_sources() {
  local key=/usr/share/keyrings/debian-archive-keyring.gpg
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
    while read -r suite uri; do echo "deb [arch=$ARCH signed-by=$key] $uri $suite main"; done
}

apt_private() { # apt_private apt-get|apt-cache ARGS…
  local state=$GUEST/apt tool=$1
  shift
  if [ ! -e "$state/ready-$ARCH" ]; then
    mkdir -p "$state"/{lists,archives}/partial
    : > "$state/status"
    debian_sources > "$state/sources-$ARCH.list"
    if ! [ -s "$state/sources-$ARCH.list" ] && [ "$(id -u)" = 0 ]; then # a fresh machine has no lists yet
      apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
      debian_sources > "$state/sources-$ARCH.list"
    fi
    [ -s "$state/sources-$ARCH.list" ] ||
      die "no Debian package source with lists on this machine (root: apt-get update); the guest takes its kernel from there"
    cat > "$state/apt-$ARCH.conf" << C
Dir::State "$state"; Dir::State::lists "$state/lists"; Dir::State::status "$state/status";
Dir::State::extended_states "$state/extended_states"; Dir::Cache "$state"; Dir::Cache::archives "$state/archives";
Dir::Cache::pkgcache "pkgcache-$ARCH.bin"; Dir::Etc::sourcelist "$state/sources-$ARCH.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "$ARCH"; APT::Architectures { "$ARCH"; }; APT::Sandbox::User ""; Acquire::Languages "none";
#clear APT::Update::Post-Invoke;
#clear DPkg::Post-Invoke;
Acquire::Retries "3"; Acquire::GzipIndexes "true"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
C
    apt-get -c "$state/apt-$ARCH.conf" -qq update >&2
    touch "$state/ready-$ARCH"
  fi
  "$tool" -c "$state/apt-$ARCH.conf" -q "$@"
}
