#!/bin/sh
# Python on an emulated ARM, in the folder that setup.sh has made:
#
#   run.sh -m pytest tests
#   MACHINE=armv7l run.sh -m pytest tests
#   ENGINE=tflite CPU=cortex-a76 run.sh -c 'import larq_reactnet_runtime'
#
# ENGINE is litert (LiteRT) or tflite (tflite-runtime). CPU is cortex-a72, that of a Raspberry Pi 4
# without the instructions for dot products, or another that qemu knows. MACHINE=armv7l is 32-bit:
# there CPU is cortex-a7, that of a Raspberry Pi 2, and ENGINE can only be tflite. PYTHONPATH comes
# first.
set -eu
cache=${LARQ_REACTNET_QEMU:-${XDG_CACHE_HOME:-$HOME/.cache}/larq-reactnet-qemu}
case ${MACHINE:=aarch64} in
armv7l) emulator=$cache-armv7l/qemu-arm cpu=cortex-a7 engine=tflite ;;
*) emulator=$cache/qemu-aarch64 cpu=cortex-a72 engine=litert ;;
esac
machine_cache=$(dirname "$emulator")
if [ ! -x "$emulator" ]; then
    echo "skip: there is no $emulator: run MACHINE=$MACHINE setup.sh first" >&2
    exit 77
fi
here=$(cd "$(dirname "$0")" && pwd)
exec env -u PYTHONHOME LARQ_REACTNET_PYTHON="$here/run.sh" LARQ_REACTNET_QEMU="$cache" \
    PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}$machine_cache/${ENGINE:-$engine}:$machine_cache/site:$machine_cache/root/usr/lib/python3/dist-packages" \
    PYTHONDONTWRITEBYTECODE=1 MACHINE="$MACHINE" \
    "$emulator" -cpu "${CPU:-$cpu}" -L "$machine_cache/root" \
    "$machine_cache/root/usr/bin/python3.11" "$@"
