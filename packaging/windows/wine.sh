#!/usr/bin/env bash
# Runs a Windows program under Wine, in a prefix that is made where it is missing: packaging/windows/wine.sh
# PROGRAM ARGUMENTS. WINEPREFIX names the prefix; without it, one in the cache. For tests: nothing of it is
# shipped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
SUDO=$([ "$(id -u)" = 0 ] || echo sudo)
export WINEDEBUG=-all WINEDLLOVERRIDES="mscoree=;mshtml=" DISPLAY= PATH="$PATH:/usr/lib/wine"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/branchline/windows"
export WINEPREFIX="${WINEPREFIX:-$cache/prefix}"

if ! command -v wine64 >/dev/null || ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
  echo "installing Wine (wine64, gcc-mingw-w64-x86-64)" >&2
  $SUDO apt-get -q -o DPkg::Lock::Timeout=600 update >&2
  $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y \
    --no-install-recommends wine wine64 gcc-mingw-w64-x86-64 >&2
fi
mkdir -p "$(dirname "$WINEPREFIX")"
exec 9> "$WINEPREFIX.lock"
flock 9
if ! [ -e "$WINEPREFIX/made" ]; then
  rm -rf "$WINEPREFIX"
  wine64 wineboot -i >/dev/null 2>&1 9>&-
  # It would be Windows 7.
  wine64 winecfg -v win10 >/dev/null 2>&1 9>&-
  # Wine 8 lacks this library, from which Rust's programs take random bytes.
  shim=$(mktemp -d)
  cat > "$shim/shim.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL ProcessPrng(PBYTE bytes, SIZE_T length) { return SystemFunction036(bytes, (ULONG)length); }
C
  x86_64-w64-mingw32-gcc -shared -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" "$shim/shim.c" -ladvapi32
  rm -r "$shim"
  # A service that is installed before this has ended cannot be opened afterwards.
  wineserver -w 9>&-
  touch "$WINEPREFIX/made"
fi
flock -u 9
exec 9>&-
exec wine64 "$@"
