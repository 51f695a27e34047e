#!/usr/bin/env bash
# cargo for Windows, on Debian: packaging/windows/cargo.sh build --release -p branchline-agent
# Debian's own compiler and mingw do it, beside whatever rustup has; the standard library is built once into
# a cache. Installs what is missing. Tests run under Wine through the runner beside this file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
SUDO=$([ "$(id -u)" = 0 ] || echo sudo)
target=x86_64-pc-windows-gnu

need=()
for package in rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64 g++-mingw-w64-x86-64; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || need+=("$package")
done
if [ ${#need[@]} -gt 0 ]; then
  echo "installing what builds for Windows: ${need[*]}" >&2
  $SUDO apt-get -q -o DPkg::Lock::Timeout=600 update >&2
  $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${need[@]}" >&2
fi

export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
# Where it was built is nobody's business; what it panics with would say so.
remapped="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=/usr/src=/rustc"
# The cache is the compiler's, which Debian's security updates change, and these flags'.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/branchline/windows/$( ($RUSTC -vV; echo "$remapped") | sha256sum | cut -c1-16)"
if ! [ -e "$cache/made" ]; then
  echo "building the standard library for Windows, once (two minutes)" >&2
  rm -rf "$cache"; mkdir -p "$cache/empty/src"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' > "$cache/empty/Cargo.toml"
  : > "$cache/empty/src/lib.rs"
  (cd "$cache/empty" && CARGO_TARGET_DIR="$cache/empty/target" RUSTC_BOOTSTRAP=1 RUSTFLAGS="$remapped" /usr/bin/cargo build --quiet \
    --release -Z build-std=std,panic_unwind,test --target $target >&2)
  libraries="$cache/sysroot/lib/rustlib/$target/lib"
  mkdir -p "$libraries"
  cp "$cache"/empty/target/$target/release/deps/*.rlib "$libraries"
  rm -rf "$libraries"/libempty* "$cache/empty"
  touch "$cache/made"
fi

# Where RUSTFLAGS is set, cargo looks at nothing else.
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="--sysroot $cache/sysroot${RUSTFLAGS:+ $RUSTFLAGS}"
unset RUSTFLAGS
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER="$here/wine.sh"
# Two compilers do not share a folder.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$here/../../target}/windows"
command=$1; shift
exec /usr/bin/cargo "$command" --target $target "$@"
