# The Debian package. Sourced by scripts/cross-build, which sets the variables named below.
# shellcheck shell=bash disable=SC2154

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

# make_deb: leaves $package, target/dist/eyrie_VERSION_DEBARCH.deb, of $binary (built for $debian, as Debian names it, in
# $suite) which needs the libraries $needed and glibc $glibc; $cargo_there is how cargo is run where it was built.
make_deb() {
    local tree depends name
    package=$root/target/dist/eyrie_${version}_$debian.deb
    say "packing ${package##*/}"
    depends=$(depends_on "${needed[@]}")
    tree=$(mktemp -d)
    chmod 755 "$tree"
    put 755 "$root/$binary" usr/bin/eyrie
    put 644 "$root/systemd/eyrie.service" usr/lib/systemd/system/eyrie.service
    put 644 "$root/systemd/eyrie.sysusers" usr/lib/sysusers.d/eyrie.conf
    # The config begins as a copy of it, and is the user's own from then on: an update never asks about it.
    put 644 "$root/src/config/example.toml" usr/share/eyrie/eyrie.toml
    for name in "$root"/src/cli/manual/*.1; do
        gzip -9n <"$name" | put 644 /dev/stdin "usr/share/man/man1/${name##*/}.gz"
    done
    put 644 "$root/src/cli/manual/eyrie.bash" usr/share/bash-completion/completions/eyrie
    put 644 "$root/src/cli/manual/eyrie.fish" usr/share/fish/vendor_completions.d/eyrie.fish
    put 644 "$root/src/cli/manual/_eyrie" usr/share/zsh/vendor-completions/_eyrie
    copyright | put 644 /dev/stdin usr/share/doc/eyrie/copyright
    for name in postinst prerm postrm; do put 755 "$root/scripts/package/$name" DEBIAN/$name; done
    control "$depends" "$(du -sk "$tree" | cut -f 1)" | put 644 /dev/stdin DEBIAN/control
    # The same package from the same commit.
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s) \
        dpkg-deb --root-owner-group --build "$tree" "$package" >&2
    rm -r "$tree"
}

# put MODE FILE PATH: copies it into $tree.
put() { command install -D --mode="$1" "$2" "$tree/$3"; }

control() {
    cat <<END
Package: eyrie
Version: $version
Architecture: $debian
Maintainer: Eyrie developers <eyrie@localhost>
Section: video
Priority: optional
Installed-Size: $2
Depends: $1, systemd | systemd-standalone-sysusers
Suggests: alsa-utils, v4l-utils
Description: network camera over RTSP from V4L2 cameras and ALSA microphones
 Turns a Linux board with a camera and a microphone into a network camera:
 captures, encodes H.264, and serves it to players and recorders over RTSP
 and RTP.
END
}

# depends_on LIBRARY…: the packages that have them.
depends_on() {
    local library packages=("libc6 (>= $glibc)") compiler=12
    [ "$suite" != trixie ] || compiler=14
    for library; do
        case $library in
            # Debian 13's package has a new name; on machines of 64 bits it is the same.
            libasound.so.2)
                if [ "$debian" = armhf ]; then packages+=(libasound2t64); else packages+=("libasound2t64 | libasound2"); fi
                ;;
            libstdc++.so.6) packages+=("libstdc++6 (>= $compiler)") ;;
            libgcc_s.so.1) packages+=(libgcc-s1) ;;
            libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux*) ;;
            *) die "which package has $library?" ;;
        esac
    done
    printf '%s, ' "${packages[@]}" | sed 's/, $//'
}

copyright() {
    cat <<END
Eyrie is licensed under the MIT licence or the Apache License, Version 2.0,
as you like. The letters in its pictures are DejaVu Sans Mono Bold.

H.264 and AAC are covered by patents in some countries. openh264 is compiled
from source here, which Cisco's licence does not cover.

END
    cat "$root/LICENSE-MIT"
    printf '\n\n'
    cat "$root/LICENSE-APACHE"
    printf '\n\n'
    cat "$root"/src/device/canvas/*.LICENSE
    printf '\n\nThe program holds these libraries, each under the licence beside it:\n\n'
    "${cargo_there[@]}" tree --quiet --locked --target "$triple" --edges normal --prefix none --format '{p}  {l}' |
        sed 's/ (proc-macro)//; s/ (\*)//; /^eyrie /d' | sort -u
}
