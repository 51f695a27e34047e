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
  # A program for Windows has other parts than the same one for Linux.
  for bill in agent:agent:linux-gnu server:server-endpoint:linux-gnu desktop:desktop/shell:linux-gnu \
    agent:agent:windows-gnu desktop:desktop/shell:windows-gnu; do
    IFS=: read -r name folder system <<< "$bill"
    case "$system" in windows-*) target=x86_64-pc-$system ;; *) target=$(uname -m)-unknown-$system ;; esac
    made="branchline-$name-$version-${system%-gnu}.cdx"
    cargo cyclonedx --quiet --manifest-path "$folder/Cargo.toml" --format json --spec-version 1.5 \
      --target "$target" --override-filename "$made"
    mv "$folder/$made.json" "$out"
    # It writes one beside each part of the workspace too.
    find . -path ./target -prune -o -path ./dist -prune -o -name "$made.json" -exec rm {} +
    sed -i "s#file://$PWD#file:///branchline#g" "$out/$made.json"
  done
fi
(cd "$out" && sha256sum ./* | sed 's# \./# #' > SHA256SUMS)
ls -l "$out"
