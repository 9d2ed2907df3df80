#!/usr/bin/env bash
# Unpacks Debian's rustc-web and rust-web-src (a compiler and exactly its library source) below PREFIX, without installing anything,
# and writes PREFIX/environment: what cargo needs to use them. Any user may run it.
set -euo pipefail
prefix=$(cd "$1" && pwd)
work=$(mktemp -d "$prefix/unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

version=$(apt-cache policy rustc-web | sed -n 's/^  Candidate: //p')
if [ -z "$version" ] || [ "$version" = "(none)" ]; then
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; fi
    version=$(apt-cache policy rustc-web | sed -n 's/^  Candidate: //p')
fi
if [ -z "$version" ] || [ "$version" = "(none)" ]; then
    echo "no package rustc-web in the sources of apt" >&2
    exit 1
fi
upstream=${version%%+*}
minor=${upstream%.*}
llvm=$(apt-cache show "libstd-rust-web-$minor=$version" | sed -n 's/^Depends:.*\(libllvm[0-9]*\).*/\1/p' | head -n 1)

cd "$work"
apt-get download -q "rustc-web=$version" "libstd-rust-web-$minor=$version" "libstd-rust-web-dev=$version" "rust-web-src=$version" "$llvm"
rm -rf "$prefix/rust"
mkdir unpacked
for package in rustc-web_*.deb libstd-rust-web-*.deb "$llvm"_*.deb; do
    dpkg-deb -x "$package" unpacked
done
dpkg-deb --fsys-tarfile rust-web-src_*.deb | tar -x -C unpacked ./usr/lib/rustlib/src "./usr/src/rustc-$upstream/library"
mv unpacked "$prefix/rust"

libraries=$(find "$prefix/rust/usr/lib" -maxdepth 1 -name '*-linux-gnu*' -type d | head -n 1)
libraries=$libraries:$prefix/rust/usr/lib/llvm-${llvm#libllvm}/lib
LD_LIBRARY_PATH=$libraries "$prefix/rust/usr/bin/rustc" --version
printf 'RUSTC=%s\nLD_LIBRARY_PATH=%s\n' "$prefix/rust/usr/bin/rustc" "$libraries" >"$prefix/environment"
