# Read by what builds and packs: the version, the day of its commit, and what programs answer to `--version`.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}"
export BRANCHLINE_VERSION="$version (commit $(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown), $(date -u -d "@$SOURCE_DATE_EPOCH" +%F))"
