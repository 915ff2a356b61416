# The packages of Debian, Ubuntu and Raspberry Pi OS that Eyrie's scripts install: the one list of them.
# shellcheck shell=bash disable=SC2034 # read by the scripts that source this

# To build. nasm: openh264 and libjpeg-turbo are 2 to 3 times slower without it, and only x86 uses it.
build_packages=(g++ cmake pkg-config libasound2-dev libclang-dev)
case $(uname -m) in x86_64 | i?86) build_packages+=(nasm) ;; esac

# To lint.
lint_packages=(shellcheck python3-venv systemd)

# To test in network namespaces, with rules of nftables.
unit_packages=(iproute2 nftables)

# The players and the recorder that the server is tested with; mmdebstrap unpacks those that stable has not.
client_packages=(ffmpeg mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-libav glib-networking mmdebstrap motion python3-websockets)

# To install the package for boards where its programs are emulated, and play from it; and to boot an emulated machine of that
# architecture, with small programs in C.
package_packages=(qemu-user-static mmdebstrap python3 ffmpeg qemu-system-arm binutils kmod)
case $(uname -m) in aarch64) ;; *) package_packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;; esac

# What benchmarks compare with, and the players that are measured, with a screen for them.
bench_packages=(libyuv0 xvfb ffmpeg mpv gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-libav gstreamer1.0-x)

# The emulated machine with virtual cameras and sound cards.
guest_packages=(qemu-system-x86 binutils kmod xz-utils zstd python3 ffmpeg gcc libc6-dev make libelf1)

# To build images of cards, and boot them.
image_packages=(mmdebstrap debian-archive-keyring qemu-user-static genimage dosfstools mtools e2fsprogs zstd binutils python3 systemd)
boot_packages=(qemu-system-arm qemu-efi-aarch64 mtools)
