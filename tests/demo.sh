#!/bin/sh
# Shows what authsome is for, on this machine and without the internet: a program calls an API with
# a key that it never holds. Everything happens in a throw-away home; nothing is left behind.
#
#   sh tests/demo.sh
#
# Needs Rust. What else is missing (a C linker, curl) is installed when run as root on Debian.
set -eu
cd "$(dirname "$0")/.."

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') green=$(printf '\033[32m') dim=$(printf '\033[2m') off=$(printf '\033[0m')
else
    bold='' green='' dim='' off=''
fi

scratch=$(mktemp -d /tmp/as-demo.XXXXXX)
server='' build=''

# whatever happens, stop what was started and remove what was written
clean_up() {
    code=$?
    trap - EXIT
    [ -z "$build" ] || kill "$build" 2>/dev/null || :
    [ ! -e "$scratch/home/daemon.lock" ] || authsome daemon stop >/dev/null 2>&1 || :
    [ -z "$server" ] || kill "$server" 2>/dev/null || :
    rm -rf "$scratch"
    [ "$code" -eq 0 ] || printf '%s\n' 'the demo failed' >&2
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

need() { # command, package
    command -v "$1" >/dev/null 2>&1 && return
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "\`$1\` is missing" "install the package \`$2\` and run this again"
    fi
    printf '%s\n' "${dim}installing $2 …${off}"
    {
        [ -e "$scratch/updated" ] || apt-get update && : >"$scratch/updated"
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"
    } >"$scratch/apt.log" 2>&1 </dev/null || { cat "$scratch/apt.log" >&2; fail "cannot install $2"; }
}

# a clean environment: neither your settings nor your keyring nor your proxy take part
authsome() {
    env -i PATH="$PATH" HOME="$scratch/user" LANG=C.UTF-8 XDG_RUNTIME_DIR="$scratch/run" \
        AUTHSOME_HOME="$scratch/home" "$programs/authsome" "$@"
}

show() { printf '\n%s\n' "${bold}\$ $*${off}"; }

command -v cargo >/dev/null 2>&1 || fail '`cargo` is missing' 'get Rust from https://rustup.rs'
need cc build-essential
need curl curl

printf '%s\n' "${bold}authsome: programs call APIs without ever holding the key${off}"
begin=$(date +%s)
printf '%s' "${dim}building (the first time takes some minutes) …${off} "
cargo build --quiet --locked --workspace --bins >"$scratch/build.log" 2>&1 </dev/null &
build=$!
while kill -0 "$build" 2>/dev/null; do
    [ ! -t 1 ] || printf '\r%s' "${dim}building … $(($(date +%s) - begin)) s${off}   "
    sleep 1
done
wait "$build" || { cat "$scratch/build.log" >&2; build=''; fail 'the build failed'; }
build=''
[ ! -t 1 ] || printf '\r\033[K'
printf '%s\n' "${dim}built in $(($(date +%s) - begin)) s${off}"
programs=${CARGO_TARGET_DIR:-$PWD/target}/debug

# a stand-in for api.intercom.io: an HTTPS server with a CA of its own, which ends by itself even
# if this script is killed
mkdir -m 700 "$scratch/home" "$scratch/run" "$scratch/user"
key=demo_$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
: >"$scratch/server.log"
TMPDIR=$scratch "$programs/authsome-standin" --for 600 --print --token "$key" >"$scratch/server.log" 2>&1 </dev/null &
server=$!
for _ in $(seq 100); do
    address=$(sed -n 's/^listening //p' "$scratch/server.log")
    ca=$(sed -n 's/^ca //p' "$scratch/server.log")
    [ -z "$address" ] || [ -z "$ca" ] || break
    sleep 0.1
done
[ -n "$ca" ] || { cat "$scratch/server.log" >&2; fail 'the stand-in server did not start'; }
cat >"$scratch/home/config.toml" <<END
[vault]
store = "file"
[upstream]
extra_ca = ["$ca"]
[upstream.resolve]
"api.intercom.io:443" = "$address"
END

show authsome login intercom
printf '%s\n' "$key" | authsome login intercom --stdin

show "authsome run -- sh -c 'env | grep INTERCOM; curl https://api.intercom.io/me'"
authsome run -- sh -c 'env; curl --silent --show-error https://api.intercom.io/me' >"$scratch/program"
grep '^INTERCOM_API_KEY=' "$scratch/program" || fail 'the program did not find INTERCOM_API_KEY'
tail -n 1 "$scratch/program"

held=$(sed -n 's/^INTERCOM_API_KEY=//p' "$scratch/program")
received=$(sed -n 's/^authorization: //p' "$scratch/server.log" | tail -n 1)
printf '\n  %-22s %s\n  %-22s %s\n  %-22s %s\n' 'the key in the vault' "$key" \
    'the program held' "$held" 'the server received' "${green}Authorization: $received${off}"

[ "$held" = authsome-proxy-managed ] || fail 'the program held something else than the placeholder'
[ "$received" = "Bearer $key" ] || fail 'the server did not receive the key'
grep -q '"type":"admin"' "$scratch/program" || fail 'the server did not answer as it should'
! grep -q "$key" "$scratch/program" || fail 'the program saw the key'

show authsome log
authsome log -n 4

show authsome logout intercom
authsome logout intercom
authsome daemon stop >/dev/null 2>&1

printf '\n%s\n' "${dim}the daemon is stopped and the throw-away home removed${off}"
