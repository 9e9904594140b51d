#!/usr/bin/env bash
# Unpacks packages of another Debian suite, from the mirrors that this machine is set up with.
#
#   tests/unpack.sh SUITE DIRECTORY PACKAGE...
#
# A PACKAGE may be a name, `name+` for it and all that it depends on, or `name?` for the first
# dependency of a metapackage. The directory appears when it is whole; one that is there is kept.
set -euo pipefail
suite=$1
directory=$2
shift 2
[ ! -d "$directory" ] || exit 0
mkdir -p "$(dirname "$directory")"
new=$(mktemp -d "$directory.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
apt=$new/.apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/packages"
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
{ cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } | sed "s/$own/$suite/g" >"$apt/list.sources"
sed "s/$own/$suite/g" /etc/apt/sources.list >"$apt/list.list" 2>/dev/null || true
list=$apt/list.sources
[ -s "$list" ] || list=$apt/list.list
options=(-o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
# Not every suite has all the archives that this machine's has (sid has no security updates): what
# is missing in the end is missed below.
apt-get "${options[@]}" update -qq 2>"$apt/complaints" || true
packages=()
for package in "$@"; do
    case $package in
    *'?') packages+=("$(apt-cache "${options[@]}" depends "${package%?}" | awk '/Depends:/{print $2; exit}')") ;;
    *+) mapfile -t -O "${#packages[@]}" packages < <(apt-cache "${options[@]}" depends --recurse --no-recommends \
        --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "${package%+}" | grep '^[a-z0-9]') ;;
    *) packages+=("$package") ;;
    esac
done
(cd "$apt/packages" && apt-get "${options[@]}" download -qq "${packages[@]}") || {
    cat "$apt/complaints" >&2
    exit 1
}
for package in "$apt"/packages/*.deb; do
    dpkg -x "$package" "$new"
done
rm -rf "$apt"
mv "$new" "$directory"
trap - EXIT
