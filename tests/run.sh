#!/bin/sh
# Installs what the tests need and runs all of them.
#
#   sh tests/run.sh [FILTER…]       (a filter is passed to the test runner)
#
# As root on Debian, missing packages are installed; otherwise they are named. Tests that need a
# plain user become one with setpriv; the few that need a second user fail without root and say so.
set -eu
cd "$(dirname "$0")/.."

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/sbin

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# package, and how one sees that it is there: real parts and real clients, no mocks
missing=''
want() { # package, check…
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
want build-essential command -v cc
want libssl-dev test -e /usr/include/openssl/ssl.h
want pkg-config command -v pkg-config
want openssl command -v openssl
want ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
want dbus command -v dbus-daemon
want dbus-bin command -v dbus-send
want gnome-keyring command -v gnome-keyring-daemon
want libsecret-tools command -v secret-tool
want util-linux command -v setpriv
want age command -v age
want expect command -v expect
want strace command -v strace
want procps command -v ps
want systemd test -x /lib/systemd/systemd
want passwd test -x /usr/sbin/useradd
want chromium command -v chromium
want nginx-light command -v nginx
want haproxy command -v haproxy
want curl command -v curl
want wget command -v wget
want git command -v git
want python3 command -v python3
want python3-jsonschema python3 -c 'import jsonschema'
want python3-venv python3 -c 'import ensurepip, venv'
want tmux command -v tmux
want bsdutils command -v script
want zsh command -v zsh
want fish command -v fish
want bash-completion test -e /usr/share/bash-completion/bash_completion
want dash command -v dash
want direnv command -v direnv
want man-db command -v man
want mandoc command -v mandoc
want neovim command -v nvim
want nodejs command -v node
want npm command -v npm
want ruby command -v ruby
want php-cli command -v php
want php-curl php -r 'exit(function_exists("curl_init") ? 0 : 1);'
want golang-go command -v go
want default-jdk-headless command -v javac
want dpkg-dev command -v dpkg-shlibdeps
want lintian command -v lintian
want nix-bin command -v nix-instantiate

if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "these packages are missing:$missing" "as root: apt-get install$missing"
    fi
    printf 'installing:%s\n' "$missing"
    log=$(mktemp)
    # shellcheck disable=SC2086  # a list of words
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        fail "cannot install:$missing"
    fi
    rm -f "$log"
fi
command -v cargo >/dev/null 2>&1 || fail '`cargo` is missing' 'get Rust from https://rustup.rs'

# a snapshot that differs fails its test; it is not written beside the old one
export INSTA_UPDATE="${INSTA_UPDATE:-no}"

# the tests look for the programs one folder above themselves: cargo does not know that they need them
cargo build --locked --workspace --bins

# the published schema, which needs a feature that client and daemon are built without
cargo test --locked --quiet -p authsome-proto --features schema --test schema

if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --locked --workspace --no-fail-fast --config-file tests/nextest.toml "$@"
fi
exec cargo test --locked --workspace --no-fail-fast "$@"
