#!/usr/bin/env bash
# Builds the deb packages into a folder: packaging/deb/build.sh OUT [--profile dev] [--version V] [NAME...]
# `--profile dev` takes programs that tests built already. The same programs packed twice give the same
# bytes: every time in them is the commit's.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "$1"); shift
profile=release version="" names=()
while [ $# -gt 0 ]; do
  case "$1" in
    --profile) profile=$2; shift 2 ;;
    --version) version=$2; shift 2 ;;
    *) names+=("$1"); shift ;;
  esac
done
[ ${#names[@]} -gt 0 ] || names=(agent server desktop)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}"
export TZ=UTC LC_ALL=C.UTF-8
version=${version:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)-1}
target=${CARGO_TARGET_DIR:-$PWD/target}
programs="$target/$([ "$profile" = dev ] && echo debug || echo "$profile")"

rm -rf packaging/build && mkdir -p packaging/build "$out"
"$programs/branchline-manual" packaging/build
day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)
sed -e "s/@VERSION@/${version%-*}/; s/@DAY@/$day/; /<!--.*-->/d" packaging/desktop/metainfo.xml \
  > packaging/build/org.branchline.Branchline.metainfo.xml
for name in "${names[@]}"; do
  cat > "packaging/build/changelog-$name" <<EOF
branchline-$name ($version) stable; urgency=medium

  * Changes are listed in CHANGELOG.md of the sources.

 -- Branchline maintainers <maintainers@branchline.example>  $(date -R -d "@$SOURCE_DATE_EPOCH")
EOF
  cargo deb --quiet --locked --offline --no-build --no-dbgsym --strip --profile "$profile" \
    -p "branchline-$name" --deb-version "$version" -o "$out/branchline-${name}_${version}_$(dpkg --print-architecture).deb"
done
