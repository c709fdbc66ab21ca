#!/bin/sh
# Installs what Sextant is built from: Debian 12's and Ubuntu 24.04's packages, nothing else.
#   scripts/install-deps.sh          build and run
#   scripts/install-deps.sh --dev    also what the tests and the lint need
# Does nothing where everything is there already. Needs root, or sudo, only where it is not.
set -eu
build="gcc cmake ninja-build pkg-config git ca-certificates
	libopenblas-dev libopenblas0-pthread libhdf5-dev libgsl-dev libcairo2-dev libpango1.0-dev
	libjansson-dev libyaml-dev librandom123-dev libxxhash-dev libdeflate-dev libpcre2-dev libutf8proc-dev
	fonts-texgyre fonts-dejavu-core"
dev="clang libcmocka-dev libomp-dev libopenblas0-openmp libopenblas0-serial
	clang-format clang-tidy cppcheck codespell shellcheck poppler-utils hdf5-tools
	python3-numpy python3-h5py python3-nbconvert python3-ipykernel python3-matplotlib"
want=$build
[ "${1:-}" = --dev ] && want="$build $dev"

missing=
for p in $want; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
if [ -z "$missing" ]; then
	echo "install-deps: everything is there"
	exit 0
fi
echo "install-deps: installing$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
	as_root=sudo
	command -v sudo >/dev/null || { echo "install-deps: need root to install:$missing" >&2; exit 1; }
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of packages
{
	$as_root apt-get update -qq
	$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
echo "install-deps: done"
