#!/bin/sh
# Builds the two programs for a release. Prints the folder that holds them.
#
#   client/package/build.sh [--static]
#
# Reproducible: the same commit, compiler and target give the same bytes in any folder, and no path of
# the machine is in them. `--static` builds for musl, so that the programs need nothing of the system
# they run on; README.md says what that costs.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

target=$(rustc -vV | sed -n 's/^host: //p')
case "${1:-}" in
    '') ;;
    --static)
        target=${target%%-*}-unknown-linux-musl
        [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] ||
            fail "the standard library for $target is missing" "rustup target add $target"
        command -v musl-gcc >/dev/null 2>&1 ||
            fail '`musl-gcc` is missing' 'install the package `musl-tools`'
        ;;
    *) fail "unknown argument \`$1\`" 'client/package/build.sh [--static]' ;;
esac

cargo_home=${CARGO_HOME:-$HOME/.cargo}
# cargo splits this variable at the unit separator, so that a path may have spaces
unit=$(printf '\037')
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo$unit--remap-path-prefix=$root=/authsome"
# the crate `cc` reads these as a shell would when it is told so: a path may have spaces there, too
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
CFLAGS="-ffile-prefix-map=$(quoted "$cargo_home")=/cargo -ffile-prefix-map=$(quoted "$root")=/authsome"
CC_SHELL_ESCAPED_FLAGS=1
CARGO_TARGET_DIR=$root/target/package/build
export CARGO_ENCODED_RUSTFLAGS CFLAGS CC_SHELL_ESCAPED_FLAGS CARGO_TARGET_DIR CARGO_INCREMENTAL=0

# a target is always named: without one the flags would also go to build scripts, and a build for the
# host and a build for musl would share a folder
cargo build --release --locked --target "$target" -p authsome -p authsomed >&2
printf '%s\n' "$CARGO_TARGET_DIR/$target/release"
