#!/bin/sh
# Unpacks Python packages of another release of Debian into a directory, from which they run by PYTHONPATH. Nothing is
# installed, and apt's own lists stay as they are.
# usage: fetch.sh RELEASE DIRECTORY PACKAGE...
set -eu
release=$1
mkdir -p "$2"
target=$(cd "$2" && pwd)
shift 2
test -z "$(ls "$target")" || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $release main" >"$work/sources"
apt() {
	apt-get -qq -o Dir::Etc::SourceList="$work/sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" \
		-o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 "$@"
}
cd "$work"
apt update
apt download "$@"
for package in *.deb; do dpkg -x "$package" root; done
mv root/usr/lib/python3/dist-packages/* "$target"
