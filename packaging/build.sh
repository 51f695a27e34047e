#!/usr/bin/env bash
# Builds everything that this machine can build into dist/: debs, MSIs, rpms, bills of materials,
# checksums. `make packages` calls it; WITHOUT="msi rpm" leaves things out. Installs its tools.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/dist
without=" ${WITHOUT:-} "
wanted() { case "$without" in *" $1 "*) return 1 ;; esac; }
tool() { command -v "$1" >/dev/null || { echo "installing $1 (some minutes)"; cargo install --locked --quiet "$1" --version "$2"; }; }

. packaging/version.sh
# Where it was built is nobody's business, and would make two builds differ.
export RUSTFLAGS="--remap-path-prefix=$PWD=/branchline --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"

rm -rf "$out" && mkdir -p "$out"
tool cargo-deb 3.8.0
echo "building the programs for Linux"
cargo build --quiet --locked --release -p branchline-agent -p branchline-server -p branchline-desktop \
  -p branchline-manual --bins
packaging/deb/build.sh "$out"
if wanted rpm; then
  tool cargo-generate-rpm 0.21.1
  packaging/rpm/build.sh "$out"
fi
if wanted msi; then
  echo "building the agent for Windows"
  packaging/windows/build.sh "$out"
  echo "building the desktop client for Windows"
  packaging/windows/build.sh "$out" --name desktop
  command -v zip >/dev/null || {
    echo "installing zip"
    $([ "$(id -u)" = 0 ] || echo sudo) apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends zip
  }
  (cd packaging && zip -q -X -r "$out/branchline-policy-$version.zip" policy)
fi
if wanted sbom; then
  tool cargo-cyclonedx 0.5.9
  for package in agent:agent server:server-endpoint desktop:desktop/shell; do
    name=${package%:*} folder=${package#*:}
    cargo cyclonedx --quiet --manifest-path "$folder/Cargo.toml" --format json --spec-version 1.5 \
      --override-filename "branchline-$name.cdx"
    find . -path ./target -prune -o -name "branchline-$name.cdx.json" -print | while read -r bill; do
      [ "$bill" = "./$folder/branchline-$name.cdx.json" ] && mv "$bill" "$out/branchline-$name-$version.cdx.json" || rm "$bill"
    done
    sed -i "s#file://$PWD#file:///branchline#g" "$out/branchline-$name-$version.cdx.json"
  done
fi
(cd "$out" && sha256sum ./* | sed 's# \./# #' > SHA256SUMS)
ls -l "$out"
