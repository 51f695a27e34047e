#!/usr/bin/env bash
# Builds an MSI: packaging/windows/build.sh OUT [--name agent|desktop] [--profile dev] [--version V]
# [--program EXE]. `--program` takes one that was built elsewhere, such as natively; beside the desktop
# client's lies its WebView2Loader.dll.
# Anything that wixl or msibuild say is an error: wixl only warns of what it leaves out.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "$1"); shift
name=agent profile=windows version="" program=""
while [ $# -gt 0 ]; do
  case "$1" in
    --name) name=$2; shift 2 ;;
    --profile) profile=$2; shift 2 ;;
    --version) version=$2; shift 2 ;;
    --program) program=$2; shift 2 ;;
    *) echo "unknown: $1" >&2; exit 2 ;;
  esac
done
version=${version:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)}
SUDO=$([ "$(id -u)" = 0 ] || echo sudo)
if ! command -v wixl >/dev/null || ! command -v msibuild >/dev/null; then
  echo "installing what writes MSIs (wixl, msitools)" >&2
  $SUDO apt-get -q -o DPkg::Lock::Timeout=600 update >&2
  $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends wixl msitools >&2
fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
exe=branchline-$name.exe
if [ -z "$program" ]; then
  flags=(-p "branchline-$name" --locked --bins)
  [ "$profile" = dev ] || flags+=(--profile "$profile")
  packaging/windows/cargo.sh build --quiet "${flags[@]}"
  built="${CARGO_TARGET_DIR:-$PWD/target}/windows/x86_64-pc-windows-gnu/$([ "$profile" = dev ] && echo debug || echo "$profile")"
  program="$built/$exe"
  x86_64-w64-mingw32-strip -o "$work/$exe" "$program"
else
  cp "$program" "$work/$exe"
fi
[ "$name" = agent ] || cp "$(dirname "$program")/WebView2Loader.dll" "$work"
mkdir -p "$out"
msi="$out/branchline-$name-$version-x64.msi"
# One version is one product: built again, it is the same one.
code=$(printf 'branchline-%s-%s' "$name" "$version" | sha1sum | tr a-f A-F)
product="${code:0:8}-${code:8:4}-5${code:13:3}-8${code:17:3}-${code:20:12}"
# wixl knows files only by names beside the source.
cp "packaging/windows/$name.wxs" "$work"
(cd "$work" && wixl -a x64 -D "ProductCode=$product" -D "Version=$version" -o "$msi" "$name.wxs" 2> said) || { cat "$work/said" >&2; exit 1; }
if [ -s "$work/said" ]; then cat "$work/said" >&2; exit 1; fi

# What wixl leaves out of the agent's.
agent_tables() {
  # S-1-5-80-…: the service's own account, whose number is made of its name.
  service=S-1-5-80-2150088854-901187533-1745477318-1638738413-4232167292
  # Only the service, the system and administrators see the data. Everybody reads the settings; below
  # ProgramData everybody could also add some, which the service would take for IT's.
  administrators="D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
  data="$administrators(A;OICI;FA;;;$service)"
  settings="$administrators(A;OICI;0x1200a9;;;BU)"
  # Newer versions of wixl make this table themselves, and leave it empty.
  environment=()
  msiinfo tables "$msi" | grep -x Environment > /dev/null || environment=(
    -q "CREATE TABLE \`Environment\` (\`Environment\` CHAR(72) NOT NULL, \`Name\` CHAR(255) NOT NULL LOCALIZABLE, \`Value\` CHAR(255) LOCALIZABLE, \`Component_\` CHAR(72) NOT NULL PRIMARY KEY \`Environment\`)"
  )
  # The numbers: restart after 5 s, 30 s, then each minute, the count forgotten after a day; also where the
  # service ended with a fault of its own.
  msibuild "$msi" \
    "${environment[@]}" \
    -q "INSERT INTO \`Environment\` (\`Environment\`, \`Name\`, \`Value\`, \`Component_\`) VALUES ('Path', '=-*PATH', '[~];[INSTALLDIR]', 'Program')" \
    -q "CREATE TABLE \`MsiLockPermissionsEx\` (\`MsiLockPermissionsEx\` CHAR(72) NOT NULL, \`LockObject\` CHAR(72) NOT NULL, \`Table\` CHAR(32) NOT NULL, \`SDDLText\` CHAR(0) NOT NULL, \`Condition\` CHAR(255) PRIMARY KEY \`MsiLockPermissionsEx\`)" \
    -q "INSERT INTO \`MsiLockPermissionsEx\` (\`MsiLockPermissionsEx\`, \`LockObject\`, \`Table\`, \`SDDLText\`) VALUES ('Data', 'DATADIR', 'CreateFolder', '$data')" \
    -q "INSERT INTO \`MsiLockPermissionsEx\` (\`MsiLockPermissionsEx\`, \`LockObject\`, \`Table\`, \`SDDLText\`) VALUES ('Settings', 'SETTINGSDIR', 'CreateFolder', '$settings')" \
    -q "CREATE TABLE \`MsiServiceConfigFailureActions\` (\`MsiServiceConfigFailureActions\` CHAR(72) NOT NULL, \`Name\` CHAR(255) NOT NULL, \`Event\` INT NOT NULL, \`ResetPeriod\` LONG, \`RebootMessage\` CHAR(255), \`Command\` CHAR(255), \`Actions\` CHAR(255), \`DelayActions\` CHAR(255), \`Component_\` CHAR(72) NOT NULL PRIMARY KEY \`MsiServiceConfigFailureActions\`)" \
    -q "INSERT INTO \`MsiServiceConfigFailureActions\` (\`MsiServiceConfigFailureActions\`, \`Name\`, \`Event\`, \`ResetPeriod\`, \`Actions\`, \`DelayActions\`, \`Component_\`) VALUES ('Restart', 'BranchlineAgent', 1, 86400, '1[~]1[~]1', '5000[~]30000[~]60000', 'Program')" \
    -q "CREATE TABLE \`MsiServiceConfig\` (\`MsiServiceConfig\` CHAR(72) NOT NULL, \`Name\` CHAR(255) NOT NULL, \`Event\` INT NOT NULL, \`ConfigType\` LONG NOT NULL, \`Argument\` CHAR(255), \`Component_\` CHAR(72) NOT NULL PRIMARY KEY \`MsiServiceConfig\`)" \
    -q "INSERT INTO \`MsiServiceConfig\` (\`MsiServiceConfig\`, \`Name\`, \`Event\`, \`ConfigType\`, \`Argument\`, \`Component_\`) VALUES ('AlsoOnFaults', 'BranchlineAgent', 1, 4, '1', 'Program')" \
    -q "INSERT INTO \`InstallExecuteSequence\` (\`Action\`, \`Sequence\`) VALUES ('RemoveEnvironmentStrings', 3300)" \
    -q "INSERT INTO \`InstallExecuteSequence\` (\`Action\`, \`Sequence\`) VALUES ('WriteEnvironmentStrings', 5200)" \
    -q "INSERT INTO \`InstallExecuteSequence\` (\`Action\`, \`Condition\`, \`Sequence\`) VALUES ('MsiConfigureServices', 'VersionNT>=600', 5850)" \
    -q "UPDATE \`Property\` SET \`Value\` = 'WIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED;SERVER_URL;ENROLL_TOKEN;DROP_FOLDER;START_SERVICE' WHERE \`Property\` = 'SecureCustomProperties'" \
    -q "INSERT INTO \`Property\` (\`Property\`, \`Value\`) VALUES ('MsiHiddenProperties', 'ENROLL_TOKEN;TakeOver')" \
    -q "UPDATE \`Component\` SET \`Condition\` = 'START_SERVICE<>\"0\"' WHERE \`Component\` = 'Starts'" \
    -q "UPDATE \`CustomAction\` SET \`Type\` = 11282 WHERE \`Action\` = 'TakeOver'"
}

# What wixl leaves out of the desktop client's: AUTOSTART=0 leaves out the start at log-on.
desktop_tables() {
  msibuild "$msi" \
    -q "UPDATE \`Property\` SET \`Value\` = 'WIX_DOWNGRADE_DETECTED;WIX_UPGRADE_DETECTED;AUTOSTART;WEBVIEW2' WHERE \`Property\` = 'SecureCustomProperties'" \
    -q "UPDATE \`Component\` SET \`Condition\` = 'AUTOSTART<>\"0\"' WHERE \`Component\` = 'AtLogOn'"
}

"${name}_tables" > "$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
if [ -s "$work/said" ]; then cat "$work/said" >&2; exit 1; fi
echo "$msi"
