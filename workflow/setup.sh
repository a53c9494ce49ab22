#!/usr/bin/env bash
# Make .venv with everything in requirements.txt, by uv where there is one, else by pip.
# Usage: workflow/setup.sh MARKER, a file that says what was installed. PYTHON: the interpreter.
set -euo pipefail
marker=$1

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; }

python=${PYTHON:-}
if [ -n "$python" ] && ! suits "$python"; then
    echo "PYTHON=$python is no Python between 3.11 and 3.14" >&2
    exit 2
fi
for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
    [ -z "$python" ] || break
    if suits "$candidate"; then python=$candidate; fi
done
if [ -z "$python" ]; then
    cat >&2 <<'END'
No Python between 3.11 and 3.14 was found. Install one:
  Debian, Ubuntu   sudo apt install python3 python3-venv
                   (before Debian 12 and Ubuntu 24.04: use uv, below)
  Fedora           sudo dnf install python3.13
  macOS            brew install python@3.13
  Windows          wsl --install, then as for Ubuntu inside it
  anywhere         install uv (https://docs.astral.sh/uv), then: uv python install 3.13
or give one: make setup PYTHON=/path/to/python3.13
END
    exit 2
fi

if [ -x .venv/bin/python ]; then
    if ! suits .venv/bin/python; then
        echo ".venv holds $(.venv/bin/python --version 2>&1): remove the folder, then make setup" >&2
        exit 2
    fi
elif command -v uv >/dev/null; then
    uv venv --quiet --seed --python "$python" .venv
elif ! "$python" -m venv .venv; then
    rm -rf .venv
    echo "$python cannot make environments. On Debian and Ubuntu: sudo apt install python3-venv" >&2
    exit 2
fi
if command -v uv >/dev/null; then
    install() { uv pip install --quiet --python .venv/bin/python "$@"; }
    uninstall() { uv pip uninstall --quiet --python .venv/bin/python "$@"; }
else
    install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }
    uninstall() { .venv/bin/python -m pip uninstall --quiet --yes "$@"; }
fi
install -r requirements.txt -c constraints.txt
# ultralytics asks for opencv-python, which overwrites the headless build and needs libGL.
uninstall opencv-python
install --force-reinstall --no-deps -c constraints.txt opencv-python-headless
rm -f .venv/installed-*
touch "$marker"
