#!/bin/sh
# Makes everything that a release publishes, in target/package:
#
#   client/package/release.sh [--draft] [--programs FOLDER] URL
#
# URL is the folder that the files will be downloaded from. What is made: the archive of the sources,
# the Debian package, an archive of the programs, SHA256SUMS, and authsome.rb, the Homebrew formula with
# address and checksum filled in. `--draft` does not insist on a tagged commit without changes;
# `--programs` takes the programs from there instead of building them.
set -eu
cd "$(dirname "$0")/../.."
here=client/package
out=target/package

fail() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

draft='' programs='' url=''
while [ $# -gt 0 ]; do
    case $1 in
        --draft) draft=yes ;;
        --programs) programs=${2:?--programs wants a folder} && shift ;;
        -*) fail "unknown argument \`$1\`" "$here/release.sh [--draft] [--programs FOLDER] URL" ;;
        *) url=${1%/} ;;
    esac
    shift
done
case $url in
    https://*[\&\|\\\"]*) fail "\`$url\` does not look like an address" ;;
    https://?*) ;;
    *) fail 'the address that the files will have is missing' "$here/release.sh https://…" ;;
esac

package=$(cargo pkgid --locked --offline -p authsome)
version=${package##*[@#]}
if [ -z "$draft" ]; then
    [ -z "$(git status --porcelain)" ] || fail 'there are uncommitted changes'
    [ "$(git describe --tags --exact-match 2>/dev/null)" = "v$version" ] ||
        fail "this commit is not tagged \`v$version\`" "git tag -s v$version"
    grep -q "^## $version" CHANGELOG.md || fail "CHANGELOG.md has no section \`$version\`"
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# the old ones go: SHA256SUMS is about this release only
rm -f "$out"/authsome*.tar.gz "$out"/authsome*.deb "$out/authsome.rb" "$out/SHA256SUMS"
mkdir -p "$out"
source=authsome-$version.tar.gz
git archive --format=tar --prefix="authsome-$version/" HEAD | gzip -9n >"$out/$source"

"$here/deb.sh" ${programs:+--programs "$programs"}

# the same files for systems without Debian packages, laid out for a prefix such as /usr/local
target=$(rustc -vV | sed -n 's/^host: //p')
name=authsome-$version-$target
tree=$out/$name
rm -rf "$tree"
mkdir -p "$tree/bin" "$tree/share/doc/authsome"
dpkg-deb -x "$out"/authsome_*.deb "$tree/all"
mv "$tree/all/usr/bin"/* "$tree/bin/"
mv "$tree/all/usr/share/doc/authsome"/* "$tree/share/doc/authsome/"
rm -f "$tree/share/doc/authsome/changelog.gz" "$tree/share/doc/authsome/copyright"
mv "$tree/all/usr/share"/man "$tree/all/usr/share"/bash-completion "$tree/share/"
mkdir -p "$tree/share/zsh" "$tree/share/fish"
mv "$tree/all/usr/share/zsh/vendor-completions" "$tree/share/zsh/site-functions"
mv "$tree/all/usr/share/fish/vendor_completions.d" "$tree/share/fish/"
cp LICENSE-* "$tree/"
rm -rf "$tree/all"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$out" -cf - "$name" |
    gzip -9n >"$out/$name.tar.gz"
rm -rf "$tree"

sum=$(sha256sum "$out/$source" | cut -d ' ' -f 1)
# the comment on top is about the file before this
sed -e '1,/^class/{/^#/d}' -e "s|@URL@|$url/$source|" -e "s|@SHA256@|$sum|" "$here/homebrew/authsome.rb" >"$out/authsome.rb"
! grep -q '@' "$out/authsome.rb" || fail 'the formula has a word left to fill in'

(cd "$out" && sha256sum authsome*.tar.gz authsome*.deb >SHA256SUMS && cat SHA256SUMS)
