#!/bin/sh
# Makes venv/ here with the exact packages of requirements.txt, then lets the model prove itself. Offline where wheels/ is.
set -eu
cd "$(dirname "$0")"

fail() {
    echo "install.sh: $1" >&2
    exit 2
}

sha256sum -c --quiet SHA256SUMS || fail "a file is damaged: copy the bundle again"
python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "$python is not here: install Python @PYTHON@"
found=$("$python" -c 'import struct, sys; print("%d.%d" % sys.version_info[:2], struct.calcsize("P") * 8)')
[ "$found" = "@PYTHON@ @BITS@" ] ||
    fail "$python is Python ${found% *} of ${found#* } bits, expected @PYTHON@ of @BITS@: bundle for another --target"
# A 32-bit system often has a 64-bit kernel, which is what uname tells of
case "@MACHINE@ $(uname -m)" in
    "aarch64 aarch64" | "armv7l armv7l" | "armv7l armv8l" | "armv7l aarch64" | "x86_64 x86_64") ;;
    *) fail "made for @MACHINE@, this is $(uname -m): bundle for another --target" ;;
esac
"$python" -c 'import @IMPORTS@' 2>/dev/null || fail "missing packages: sudo apt install @PACKAGES@"
"$python" -m venv @VENV_OPTIONS@ venv || fail "no virtual environment can be made: sudo apt install python3-venv"
if [ -d wheels ]; then
    venv/bin/python -m pip install --quiet --no-index --find-links wheels --no-deps -r requirements.txt
else
    venv/bin/python -m pip install --quiet --no-deps -r requirements.txt
fi
venv/bin/python classify.py @MODEL@ --self-test
