#!/usr/bin/env bash
# Writes what packages hold beside the programs into packaging/build: man pages, completions, the default
# settings (the programs say them themselves), AppStream's data. packaging/texts.sh PROGRAMS VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$1 version=$2
rm -rf packaging/build && mkdir -p packaging/build
"$programs/branchline-manual" packaging/build
sed -e "s/@VERSION@/$version/; s/@DAY@/$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)/; /<!--.*-->/d" \
  packaging/desktop/metainfo.xml > packaging/build/org.branchline.Branchline.metainfo.xml
