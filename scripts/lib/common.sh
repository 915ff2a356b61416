# What the scripts share: saying, installing, finding Rust. Sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=packages.sh
. "$root/scripts/lib/packages.sh"

say() { echo "${0##*/}: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# Prints the comment at the head of the script that sourced this: its help.
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# as_root COMMAND…
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root for: $*"
    fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install PACKAGE…: installs those that are missing, and touches nothing where none is.
install() {
    local package missing=()
    for package; do installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "this system has no apt; install by hand: ${missing[*]}"
    say "installing ${missing[*]}"
    # A lock held by the system's own updates is waited for. Nothing that is installed has to go.
    local apt=(as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 --no-remove)
    if ! "${apt[@]}" install --no-install-recommends -y "${missing[@]}" >&2; then
        say "reading the package lists anew"
        "${apt[@]}" update >&2 || say "apt-get update failed in part; going on with what it read"
        "${apt[@]}" install --no-install-recommends -y "${missing[@]}" >&2 || die "could not install ${missing[*]}"
    fi
}

# at_least WANTED VERSION
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# find_rust: leaves $cargo, a cargo that is new enough for Cargo.toml, and its rustc in $RUSTC if it is not on PATH as such.
find_rust() {
    local wanted version candidate name
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
    # A fresh shell does not know rustup's folder yet.
    [ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
    cargo=cargo
    if version=$(cd "$root" && cargo --version 2>/dev/null); then
        version=${version#cargo }
        at_least "$wanted" "${version%% *}" && return 0
        say "cargo ${version%% *} is too old; Eyrie needs $wanted"
    fi
    # The distribution's: plain, with the version in its name (Ubuntu), or the one it keeps new for browsers (Debian).
    command -v apt-cache >/dev/null || die "no Rust $wanted or newer: see https://rustup.rs"
    [ -n "$(apt-cache search --names-only '^cargo$')" ] || as_root apt-get -qq update >&2 || true
    for name in $(apt-cache search --names-only '^cargo(-web|-[0-9.]+)?$' | awk '{ print $1 }' | sort -V); do
        version=$(apt-cache policy "$name" | sed -n 's/^ *Candidate: //p')
        version=${version#*:}
        # Debian numbers an old cargo by itself: 0.66 is that of Rust 1.65.
        at_least "$wanted" "${version%%[-+~]*}" || continue
        candidate=$name
        break
    done
    [ -n "${candidate:-}" ] || die "no Rust $wanted or newer here or in the distribution: install it from https://rustup.rs"
    install "$candidate" "rustc${candidate#cargo}"
    case $candidate in
        cargo-[0-9]*)
            cargo=$candidate
            export RUSTC=rustc${candidate#cargo}
            ;;
    esac
    command -v "$cargo" >/dev/null || die "$candidate is installed, but there is no $cargo"
}
