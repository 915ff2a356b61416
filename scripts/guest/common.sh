# shellcheck shell=bash disable=SC2034 # read by what sources this
# common.sh ARCH: sourced by setup. Sets HERE, W (the work folder, target/guest/ARCH), QEMU (the package with its emulator),
# GNU (ARCH as compilers call it), CROSS (how compilers for it are called before `gcc`: empty where this machine is of ARCH),
# and defines apt_private: apt that reads the machine's own package sources, for ARCH, with its state in $W and never the
# machine's.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin # depmod, for plain users
HERE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
die() { echo "guest: $*" >&2; exit 1; }
say() { echo "guest: $*" >&2; }

# To add an architecture: its names here, its machine in run.
case ${1-} in
amd64) ARCH=amd64 QEMU=qemu-system-x86 GNU=x86_64-linux-gnu ;;
arm64) ARCH=arm64 QEMU=qemu-system-arm GNU=aarch64-linux-gnu ;;
*) die "usage: $(basename "$0") amd64|arm64" ;;
esac
CROSS=''
[ "$ARCH" = "$(dpkg --print-architecture)" ] || CROSS=$GNU-
W=${CARGO_TARGET_DIR:-$ROOT/target}/guest/$ARCH
mkdir -p "$W"

# The package sources of the machine that belong to Debian, one "deb" line each.
debian_sources() {
  local key=/usr/share/keyrings/debian-archive-keyring.gpg
  apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
    while read -r suite uri; do echo "deb [arch=$ARCH signed-by=$key] $uri $suite main"; done
}

apt_private() { # apt_private apt-get|apt-cache ARGS…
  local state=$W/apt tool=$1
  shift
  if [ ! -e "$state/ready" ]; then
    mkdir -p "$state"/{lists,archives}/partial
    : > "$state/status"
    debian_sources > "$state/sources.list"
    if ! [ -s "$state/sources.list" ] && [ "$(id -u)" = 0 ]; then # a fresh machine has no lists yet
      apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
      debian_sources > "$state/sources.list"
    fi
    [ -s "$state/sources.list" ] ||
      die "no Debian package source with lists on this machine (root: apt-get update); the guest takes its kernel from there"
    cat > "$state/apt.conf" << C
Dir::State "$state"; Dir::State::lists "$state/lists"; Dir::State::status "$state/status";
Dir::State::extended_states "$state/extended_states"; Dir::Cache "$state"; Dir::Cache::archives "$state/archives";
Dir::Cache::pkgcache "pkgcache.bin"; Dir::Etc::sourcelist "$state/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "$ARCH"; APT::Architectures { "$ARCH"; }; APT::Sandbox::User ""; Acquire::Languages "none";
#clear APT::Update::Post-Invoke;
#clear DPkg::Post-Invoke;
Acquire::Retries "3"; Acquire::GzipIndexes "true"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
C
    apt-get -c "$state/apt.conf" -qq update >&2
    touch "$state/ready"
  fi
  "$tool" -c "$state/apt.conf" -q "$@"
}
