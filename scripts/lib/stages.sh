# The stages of scripts/test. Sourced by it, in the top folder, with $cargo and soak_options set.
# shellcheck shell=bash disable=SC2154

passed=0 failed=0 skipped=0
reports=()
log=$(mktemp)
preparing=''
trap 'rm -f "$log"; [ -z "$preparing" ] || kill -- "-$preparing" 2>/dev/null || true' EXIT

# prepare STAGE…: in a session of its own, which ends with this one.
prepare() {
    setsid scripts/lib/prepare "$@" </dev/null >/dev/null 2>&1 &
    preparing=$!
}

# run_stage NAME: runs stage_NAME in a shell of its own; 77 is a skip, as in automake.
run_stage() {
    local name=$1 started=$SECONDS status result
    say "== $name"
    # Not as a condition: bash would then not stop the stage at its first failure.
    set +e
    (
        set -e
        "stage_${name//-/_}"
    ) 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    set -e
    case $status in
        0) result=passed passed=$((passed + 1)) ;;
        77) result=skipped ;;
        *) result=failed failed=$((failed + 1)) ;;
    esac
    if [ $result = skipped ] && [ "${CI:-}" = true ]; then
        say "$name was skipped, which CI does not allow"
        result=failed failed=$((failed + 1))
    elif [ $result = skipped ]; then
        skipped=$((skipped + 1))
    fi
    local tests
    tests=$(sed -n 's/^ *Summary \[[^]]*\] *//p' "$log" | tail -n 1)
    reports+=("$(printf '%-12s %-8s %4d s  %s' "$name" "$result" $((SECONDS - started)) "$tests")")
}

conclude() {
    printf '%s\n' "" "${reports[@]}"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

# skip REASON…
skip() {
    say "skipped: $*"
    exit 77
}

# rust_tool NAME VERSION: a cargo subcommand, from PATH, from the wheel that PyPI has of it, or built (minutes).
rust_tool() {
    local name=$1 version=$2 tools=$root/target/tools
    PATH=$tools/bin:$PATH
    command -v "$name" >/dev/null && return
    say "getting $name $version"
    install python3-venv
    if { [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"; } &&
        "$tools/bin/pip" install --quiet --disable-pip-version-check "astral-dev-toolchain-$name==$version"; then
        return
    fi
    say "there is no wheel of $name for this machine: building it"
    "$cargo" install --quiet --locked --root "$tools" "$name@$version"
}

# nextest PROFILE OPTION…: all tests of a profile of .config/nextest.toml.
nextest() {
    local profile=$1
    shift
    rust_tool cargo-nextest 0.9.148
    "$cargo" nextest run --locked --profile "$profile" "$@"
}

stage_lint() {
    install "${lint_packages[@]}"
    local tool
    for tool in fmt clippy; do "$cargo" $tool --version >/dev/null || skip "this Rust has no cargo $tool"; done
    "$cargo" fmt --check
    "$cargo" clippy --locked --quiet --all-targets -- -D warnings
    rust_tool cargo-deny 0.20.2
    cargo-deny --log-level warn check bans licenses sources
    # Every script, whatever its name ends in.
    git ls-files scripts tests board .ci | while read -r file; do
        if head -n 1 "$file" | grep -Eq '^#!.*\b(ba|da)?sh\b' || [[ $file == *.sh ]]; then echo "$file"; fi
    done | xargs shellcheck --severity warning -x -P SCRIPTDIR:scripts/lib
    check_unit
}

# The unit file is understood, and lets Eyrie do little beside its work.
check_unit() {
    local folder
    folder=$(mktemp -d)
    # Where Eyrie is not installed, its program is not missed.
    sed 's|^\(Exec[A-Za-z]*=\)/usr/bin/eyrie.*|\1/bin/true|' systemd/eyrie.service >"$folder/eyrie.service"
    # It is content with keys that it does not know, but says so.
    if systemd-analyze verify --man=no "$folder/eyrie.service" 2>&1 | grep eyrie.service; then return 1; fi
    rm -r "$folder"
    systemd-analyze security --offline=true --threshold=20 systemd/eyrie.service | tail -n 1
}

stage_unit() {
    install "${unit_packages[@]}"
    nextest default
    "$cargo" test --locked --quiet --doc
}

stage_clients() {
    # Its package also starts a service that takes the machine's camera: the program alone is wanted.
    installed motion || [ ! -d /run/systemd/system ] || as_root systemctl mask motion.service
    install "${client_packages[@]}"
    if scripts/lib/sid-clients has || scripts/lib/sid-clients make; then
        CI=true nextest clients
    else
        say "skipped: VLC and openRTSP, which Debian unstable does not give at present"
        CI=true nextest clients -E 'not test(/::(vlc|openrtsp)_/)'
    fi
}

stage_zoneminder() {
    install ffmpeg
    scripts/lib/zoneminder make
    nextest clients --run-ignored only -E 'test(/::zoneminder_/)'
}

# quickly COMMAND…: builds without what makes the program a little smaller and faster, and the build a third longer.
quickly() { CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=none "$@"; }

stage_package() {
    install "${package_packages[@]}"
    local package
    # As the tests have it: no library is compiled once more.
    "$cargo" build --locked --quiet --bin eyrie --test cli
    package=$(quickly scripts/cross-build aarch64 --deb | grep '\.deb$')
    scripts/lib/package-check "$package" target/debug/eyrie
    # Qemu-user has neither cameras nor sound cards. Left out is what takes long and has nothing to do with the architecture.
    EYRIE=$package tests/guest/run --arch arm64 --jobs 2 faults usb shim vivid sound late \
        --only '^(?!a camera clock|a card that gives only)'
}

stage_package_all() {
    stage_package
    local arch package
    for arch in armv7 x86_64; do
        package=$(quickly scripts/cross-build $arch --deb | grep '\.deb$')
        scripts/lib/package-check "$package" target/debug/eyrie
    done
}

stage_guest() {
    [ -x tests/guest/run ] || skip "tests/guest/run is not there"
    install "${guest_packages[@]}"
    # Each of them mostly waits.
    tests/guest/run --jobs 2
}

# An image is built, flashed onto what looks like a card, and boots; $1 may be full.
stage_image() {
    [ "$(id -u)" = 0 ] || skip "building an image needs root"
    install "${boot_packages[@]}" fdisk openssh-client ffmpeg
    local status=0
    tests/image/flash || status=$?
    [ $status = 0 ] || [ $status = 77 ] || return $status
    local package
    package=$(quickly scripts/cross-build aarch64 --deb | grep '\.deb$')
    [ -z "${1:-}" ] || check_setup_of_image "$package"
    scripts/build-image qemu-arm64 --package "$package"
    tests/image/run ${1:+--full "$package"} target/image/eyrie-qemu-arm64.img
}

# check_setup_of_image PACKAGE: what build-image is given to set a board up with is where the board looks for it.
check_setup_of_image() {
    local setup status=0
    setup=$(mktemp)
    printf '[system]\nhostname = "porch"\n' >"$setup"
    scripts/build-image qemu-arm64 --package "$1" --setup "$setup"
    mtype -i target/image/eyrie-qemu-arm64.img@@1M ::rpi-preseed.toml | cmp - "$setup" || status=$?
    rm "$setup"
    return $status
}

stage_image_full() { stage_image full; }

stage_deploy() {
    [ "$(id -u)" = 0 ] || skip "a container of systemd's needs root"
    install systemd-container openssh-client
    local package
    package=$(quickly scripts/cross-build "$(uname -m)" --deb | grep '\.deb$')
    tests/image/deploy "$package"
}

stage_image_pi() {
    [ "$(id -u)" = 0 ] || skip "building an image needs root"
    install "${boot_packages[@]}" fdisk openssh-client ffmpeg
    quickly scripts/build-image rpi --kernel debian
    tests/image/run target/image/eyrie-rpi.img
}

stage_soak() {
    install "${guest_packages[@]}"
    tests/guest/run soak "${soak_options[@]}"
}

# Optimised less it is built sooner, which for so few seconds is worth more.
stage_fuzz() {
    rust_tool cargo-fuzz 0.13.2
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=none scripts/lib/fuzz 20
}

stage_fuzz_long() {
    rust_tool cargo-fuzz 0.13.2
    scripts/lib/fuzz "${FUZZ_SECONDS:-600}"
}

stage_bench_smoke() {
    compgen -G 'benches/*.rs' >/dev/null || skip "there are no benchmarks"
    install "${bench_packages[@]}"
    # As the tests were built: the figures mean nothing either way.
    EYRIE_BENCH_SMOKE=1 "$cargo" bench --locked --profile dev
}

stage_bench() {
    compgen -G 'benches/*.rs' >/dev/null || skip "there are no benchmarks"
    install "${bench_packages[@]}"
    "$cargo" bench --locked
}
