# A Debian in a folder: made by mmdebstrap, kept below target/chroot, entered in a namespace of its own. Nothing of the
# machine's is changed. Sourced after common.sh.
# shellcheck shell=bash disable=SC2154 # set by who sources this

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# own_namespace COMMAND…: as root, where mounts are nobody else's; for a plain user, as what looks like root there. With
# $foreign, an architecture, also where programs for that one run.
own_namespace() {
    if [ -n "${foreign:-}" ]; then
        "$root/scripts/lib/foreign" "$foreign" "$@"
    elif [ "$(id -u)" = 0 ]; then
        unshare --mount --propagation private "$@"
    else
        unshare --user --map-root-user --map-auto --mount "$@"
    fi
}

# debian_sources SUITE [COMPONENT…]: lines for sources.list, from the archive that this machine's apt reads, else Debian's own;
# of components main and those named.
debian_sources() {
    local suite=$1 components="main ${*:2}" main security
    main=$(apt_uris | grep -v security | head -n 1) || true
    security=$(apt_uris | grep security | head -n 1) || true
    echo "deb ${main:-http://deb.debian.org/debian} $suite $components"
    echo "deb ${main:-http://deb.debian.org/debian} $suite-updates $components"
    echo "deb ${security:-http://deb.debian.org/debian-security} $suite-security $components"
}

apt_uris() {
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -F'|' '$1 == "Debian" && $2 == "main" { print $3 }'
}

# make_chroot SUITE ARCHITECTURES PACKAGE…: leaves $chroot, a folder with a Debian that has these packages, for machines
# of the first of the comma-separated architectures; $variant says what else (mmdebstrap(1); apt and what is essential).
# What is there already is used again.
make_chroot() {
    local suite=$1 architectures=$2 packages key option options=()
    shift 2
    packages=$(tr ' ' , <<<"$*")
    key=$({
        echo "$suite ${variant:-apt} $architectures $packages"
        cat "$root/scripts/lib/chroot-files"
    } | sha256sum | cut -c 1-12)
    chroot=$root/target/chroot/$suite-${architectures##*,}-$key
    mkdir -p "$root/target/chroot"
    exec 8>"$chroot.lock"
    flock 8
    if [ ! -d "$chroot" ]; then
        install mmdebstrap debian-archive-keyring
        [ "$(id -u)" = 0 ] || install uidmap
        say "making a Debian $suite with $* (some minutes, once)"
        # The machine's proxies, if it has any.
        while read -r option; do options+=(--aptopt="$option"); done \
            < <(apt-config dump --format '%F "%v";%n' | grep -i '^Acquire::https\?::proxy')
        # Where the lists of updates are of two minds, as mirrors of the smaller architectures sometimes are, do without.
        debian_sources "$suite" | unpack_debian || {
            say "once more, without updates"
            debian_sources "$suite" | head -n 1 | unpack_debian
        } || die "could not make a Debian $suite"
        mv "$chroot.new" "$chroot"
    fi
    exec 8>&-
}

# unpack_debian: makes $chroot.new, as make_chroot wants it, from the sources on stdin.
unpack_debian() {
    own_namespace rm -rf --one-file-system "$chroot.new"
    own_namespace mmdebstrap --quiet --mode=root --variant="${variant:-apt}" --keyring="$keyring" \
        --skip=check/qemu,chroot/mount/proc,chroot/mount/sys --architectures="$architectures" --include="$packages" \
        "${options[@]}" --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        --aptopt='Acquire::Retries "3"' --dpkgopt="$root/scripts/lib/chroot-files" "$suite" "$chroot.new" - >&2
}

# in_chroot COMMAND…: in $chroot, with the project at /eyrie and cargo's folder at /cargo, which keeps what is downloaded.
# Of the environment only what is named in $chroot_environment, an array, gets in.
in_chroot() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} entry=(
        # shellcheck disable=SC2016 # expanded inside
        'set -eu; to=$1; root=$2; cargo=$3; shift 3
        mount -t proc proc "$to/proc" 2>/dev/null || mount --rbind /proc "$to/proc"
        mount --rbind /dev "$to/dev"
        mkdir -p "$to/eyrie" "$to/cargo" "$to/etc/ssl/certs"
        mount --bind "$root" "$to/eyrie"
        mount --bind "$cargo" "$to/cargo"
        [ ! -d /etc/ssl/certs ] || mount --bind /etc/ssl/certs "$to/etc/ssl/certs"
        cat /etc/resolv.conf >"$to/etc/resolv.conf" 2>/dev/null || true
        PATH=$PATH:/usr/sbin:/sbin
        exec chroot "$to" "$@"'
    )
    mkdir -p "$cargo_home"
    own_namespace bash -c "${entry[@]}" in_chroot "$chroot" "$root" "$cargo_home" \
        env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CARGO_HOME=/cargo \
        "${chroot_environment[@]}" "$@"
}
