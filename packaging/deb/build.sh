#!/usr/bin/env bash
# Builds the deb packages into a folder: packaging/deb/build.sh OUT [--profile dev] [--version V] [NAME...]
# `--profile dev` takes programs that tests built already. The same programs packed twice give the same
# bytes: every time in them is the commit's.
set -euo pipefail
cd "$(dirname "$0")/../.."
. packaging/arguments.sh

packaging/texts.sh "$programs" "$version"
for name in "${names[@]}"; do
  cat > "packaging/build/changelog-$name" <<EOF
branchline-$name ($version-1) stable; urgency=medium

  * Changes are listed in CHANGELOG.md of the sources.

 -- Branchline maintainers <maintainers@branchline.example>  $(date -R -d "@$SOURCE_DATE_EPOCH")
EOF
  cargo deb --quiet --locked --offline --no-build --no-dbgsym --strip --profile "$profile" \
    -p "branchline-$name" --deb-version "$version-1" -o "$out/branchline-${name}_$version-1_$(dpkg --print-architecture).deb"
done
