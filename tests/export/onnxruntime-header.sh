#!/usr/bin/env bash
# Fetches the header of the ONNX Runtime C API into a folder, on a Debian whose own release has no such package:
#
#   ONNXRUNTIME_INCLUDE=$(bash tests/export/onnxruntime-header.sh FOLDER) python -m pytest -m cpp tests/export
#
# From Debian 13 (ONNX Runtime 1.21), of the mirror that the machine's own apt sources name. Newer libraries offer older
# interfaces too, so it fits the Python package's library.
# Nothing is installed, and the machine's own package lists stay as they are.
set -euo pipefail
folder=$(mkdir -p "${1:?usage: onnxruntime-header.sh FOLDER}" && cd "$1" && pwd)
cd "$folder"
mkdir -p lists/partial cache/archives/partial
# the label is known once `apt-get update` has run; it keeps out the security archive, which has other packages
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed -n 1p)
[ -n "$mirror" ] || { echo "apt sources: got no Debian mirror; allowed: one, after apt-get update" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > sources.list
apt="apt-get -qq -o Dir::Etc::sourcelist=$folder/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$folder/lists \
-o Dir::Cache=$folder/cache -o Debug::NoLocking=1 -o APT::Sandbox::User=$(id -un)"
$apt update >&2
$apt download libonnxruntime-dev >&2
dpkg-deb -x libonnxruntime-dev_*.deb root
echo "$folder/root/usr/include/onnxruntime"
