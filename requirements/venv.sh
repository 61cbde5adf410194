#!/bin/sh
# Usage: venv.sh FOLDER. Makes a virtual environment with the first Python >= 3.11 that works;
# the version that all pins were tested on comes first. PYTHON=… chooses another.
set -eu
folder=$1
enough='import sys; sys.exit(sys.version_info < (3, 11))'
if [ -x "$folder/bin/python" ] && "$folder/bin/python" -c "$enough" 2>/dev/null; then
    exit 0
fi
for python in "${PYTHON:-python3.11}" python3.11 python3.12 python3.13 python3 python; do
    if "$python" -c "$enough" 2>/dev/null; then
        rm -rf "$folder"
        if "$python" -m venv "$folder"; then
            exit 0
        fi
        echo "$python cannot make virtual environments; on Debian: apt install python3-venv" >&2
        rm -rf "$folder"
        exit 1
    fi
done
echo "Python >= 3.11 is needed and none was found; install it, or set PYTHON to its path" >&2
exit 1
