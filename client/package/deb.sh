#!/bin/sh
# Makes the Debian package from a clean checkout: target/package/authsome_VERSION_ARCH.deb
#
#   client/package/deb.sh [--programs FOLDER]
#
# With `--programs` the two programs are taken from there instead of being built. DEBFULLNAME and
# DEBEMAIL name the maintainer, as with Debian's own tools; SOURCE_DATE_EPOCH is the time that stands
# in the package, without it that of the commit.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
here=client/package
out=target/package
stage=$out/stage

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

programs=''
case "${1:-}" in
    '') ;;
    --programs) programs=$(cd "${2:?--programs wants a folder}" && pwd) ;;
    *) fail "unknown argument \`$1\`" "$here/deb.sh [--programs FOLDER]" ;;
esac
for tool in cargo dpkg-deb dpkg-shlibdeps gzip python3 strip; do
    command -v "$tool" >/dev/null 2>&1 || fail "\`$tool\` is missing" 'packages: binutils, dpkg-dev, gzip, python3'
done

# a tool that Debian does not package lives in a folder of its own, as those of .ci/run; unoptimised
# and without its own xz, it is there in a third of the time, and packs as fast with the system's
tools=${XDG_CACHE_HOME:-$HOME/.cache}/authsome-ci
if ! "$tools/bin/cargo-deb" --version >/dev/null 2>&1; then
    CARGO_TARGET_DIR=$tools/target-deb cargo install --locked --debug --no-default-features \
        --root "$tools" cargo-deb@3.8.0 >&2
    rm -rf "$tools/target-deb"
fi

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    # files from a release's archive have the commit's time
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)
fi
export SOURCE_DATE_EPOCH
[ -n "$programs" ] || programs=$("$here/build.sh")

# what is made by the programs, or from the project's files, for [package.metadata.deb] to pick up
rm -rf "$stage"
mkdir -p "$stage/release" "$stage/man" "$stage/doc"
for program in authsome authsomed; do
    install -m 755 "$programs/$program" "$stage/release/$program"
    # as Debian's own tools do; programs of another profile may have their symbols
    strip --strip-unneeded --remove-section=.comment --remove-section=.note "$stage/release/$program"
done
authsome=$stage/release/authsome
"$authsome" man "$stage/man" >/dev/null
for shell in bash zsh fish; do
    "$authsome" completions "$shell" >"$stage/authsome.$shell"
done
python3 "$here/third_party.py" >"$stage/doc/THIRD-PARTY"
# laid out as here, so that the links between them lead somewhere
cp README.md CHANGELOG.md "$stage/doc/"
cp -r docs "$stage/doc/docs"

mkdir "$stage/nvim"
for part in doc lua plugin; do
    [ ! -d "client/editors/nvim/$part" ] || cp -r "client/editors/nvim/$part" "$stage/nvim/"
done

package=$(cargo pkgid --locked --offline -p authsome)
version=$(printf '%s' "${package##*[@#]}" | tr - '~')
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' client/Cargo.toml)
[ -z "${DEBEMAIL:-}" ] || maintainer="${DEBFULLNAME:-$DEBEMAIL} <$DEBEMAIL>"
cat >"$stage/doc/changelog" <<END
authsome ($version) unstable; urgency=medium

  * Version $version. CHANGELOG.md.gz beside this file says what is new.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
# -n: neither name nor time of the file in the archive
gzip -9n "$stage"/man/* "$stage/doc/changelog" "$stage/doc/CHANGELOG.md" "$stage/doc/THIRD-PARTY"

# the programs are looked for in the target folder; deb files are put where -o says
CARGO_TARGET_DIR=$root/$stage "$tools/bin/cargo-deb" --quiet --no-build --manifest-path client/Cargo.toml \
    --maintainer "$maintainer" --compress-system -o "$root/$out/"
