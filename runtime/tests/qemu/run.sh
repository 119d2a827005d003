#!/bin/sh
# Python on an emulated 64-bit ARM, in the folder that setup.sh has made:
#
#   run.sh -m pytest tests
#   ENGINE=tflite CPU=cortex-a76 run.sh -c 'import larq_reactnet_runtime'
#
# ENGINE is litert (LiteRT) or tflite (tflite-runtime). CPU is cortex-a72, that of a Raspberry Pi 4
# without the instructions for dot products, or another that qemu knows. PYTHONPATH comes first.
set -eu
cache=${LARQ_REACTNET_QEMU:-${XDG_CACHE_HOME:-$HOME/.cache}/larq-reactnet-qemu}
if [ ! -x "$cache/qemu-aarch64" ]; then
    echo "skip: there is no $cache/qemu-aarch64: run setup.sh first" >&2
    exit 77
fi
here=$(cd "$(dirname "$0")" && pwd)
exec env -u PYTHONHOME LARQ_REACTNET_PYTHON="$here/run.sh" LARQ_REACTNET_QEMU="$cache" \
    PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}$cache/${ENGINE:-litert}:$cache/site" \
    PYTHONDONTWRITEBYTECODE=1 \
    "$cache/qemu-aarch64" -cpu "${CPU:-cortex-a72}" -L "$cache/root" \
    "$cache/root/usr/bin/python3.11" "$@"
