# Read by the scripts that build packages for Linux; their arguments are
#   OUT [--profile dev] [--version V] [NAME...]
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
given=$version
. packaging/version.sh
version=${given:-$version}
export TZ=UTC LC_ALL=C.UTF-8
target=${CARGO_TARGET_DIR:-$PWD/target}
programs="$target/$([ "$profile" = dev ] && echo debug || echo "$profile")"
mkdir -p "$out"
