#!/usr/bin/env bash
# Builds the rpm packages into a folder: packaging/rpm/build.sh OUT [--profile dev] [--version V] [NAME...]
# What they need of the system's libraries is asked of the programs.
set -euo pipefail
cd "$(dirname "$0")/../.."
. packaging/arguments.sh

packaging/texts.sh "$programs" "$version"
declare -A folders=([agent]=agent [server]=server-endpoint [desktop]=desktop/shell)
for name in "${names[@]}"; do
  # Programs of tests are large, and packed for a minute.
  cargo generate-rpm --package "${folders[$name]}" --output "$out/branchline-$name-$version-1.x86_64.rpm" \
    --profile "$profile" --target-dir "$target" --set-metadata "version = \"$version\"" \
    --payload-compress "$([ "$profile" = dev ] && echo none || echo xz)"
done
