#!/bin/sh
# Makes an ARM Linux with Python, NumPy, LiteRT and tflite-runtime in a folder, and an emulator to
# run it with (run.sh). Nothing is installed outside of that folder, and nobody has to be root.
#
#   setup.sh                  64-bit; prints the folder, LARQ_REACTNET_QEMU or ~/.cache/larq-reactnet-qemu
#   MACHINE=armv7l setup.sh   32-bit, in that folder with -armv7l behind its name; no LiteRT
#
# Exits with 77, which means "skip", and one line with the reason where that cannot be done.
set -eu

machine=${MACHINE:-aarch64}
cache=${LARQ_REACTNET_QEMU:-${XDG_CACHE_HOME:-$HOME/.cache}/larq-reactnet-qemu}
case $machine in
aarch64) emulator=qemu-aarch64 debian=arm64 ;;
armv7l) emulator=qemu-arm debian=armhf cache=$cache-armv7l ;;
*) echo "MACHINE must be aarch64 or armv7l, got $machine" >&2 && exit 2 ;;
esac
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
root=$cache/root
. "$here/debian.sh"
need_debian "$python"
# Whatever makes another environment makes a new folder.
stamp=$cache/$(cat "$here/setup.sh" "$here/debian.sh" "$here/cpuinfo" | cksum | tr ' ' -).done
if [ -f "$stamp" ]; then
    echo "$cache"
    exit
fi
rm -rf "$cache"
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
root=$cache/root

host=$(dpkg --print-architecture)
# The emulator that is linked statically cannot load plugins, such as count.c. This one brings all
# libraries that it needs, and so runs on other systems than Debian too.
fetch "$host" "$cache/packages" qemu-user
mkdir "$cache/host"
find "$cache/packages" -path '*/gconv' -prune -o ! -type d -name '*.so.*' -exec cp -L {} "$cache/host/" \;
loader=$(basename "$(ls "$cache"/host/ld-linux*)")
# The second one is for other processors of this machine's own kind, where that is x86-64.
for emulator in $emulator qemu-x86_64; do
    [ -f "$cache/packages/usr/bin/$emulator" ] || continue
    cp "$cache/packages/usr/bin/$emulator" "$cache/host/"
    cat >"$cache/$emulator" <<'END'
#!/bin/sh
host=$(cd "$(dirname "$0")" && pwd)/host
END
    echo "exec \"\$host/$loader\" --library-path \"\$host\" \"\$host/$emulator\" \"\$@\"" \
        >>"$cache/$emulator"
    chmod +x "$cache/$emulator"
done
rm -rf "$cache/packages"
# PyPI has no NumPy and no Pillow for 32-bit ARM; Debian has.
fetch $debian "$root" python3.11 libstdc++6 zlib1g \
    $([ $machine = aarch64 ] || echo python3-numpy python3-pil)
rm -rf "$cache/apt"

if [ $machine = aarch64 ]; then
    # LiteRT counts the processors, and crashes on what the host's files say of them.
    mkdir -p "$root/proc"
    cp "$here/cpuinfo" "$root/proc/cpuinfo"
else
    # What Debian does when it installs these packages: choose one of several libraries.
    for name in blas lapack; do
        ln -s "$name/lib$name.so.3" "$root/usr/lib/arm-linux-gnueabihf/lib$name.so.3"
    done
fi

# What pip looks for on PyPI, for the other machine.
wheels() { # folder, packages
    folder=$1
    shift
    "$python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --no-compile \
        --target "$folder" \
        --platform manylinux_2_34_$machine --platform manylinux_2_31_$machine \
        --platform manylinux_2_28_$machine --platform manylinux_2_27_$machine \
        --platform manylinux_2_17_$machine --platform manylinux2014_$machine \
        --python-version 3.11 --implementation cp --only-binary :all: "$@" ||
        skip "pip finds no wheels for $machine of $*"
}
if [ $machine = aarch64 ]; then
    wheels "$cache/site" numpy==1.26.4 pillow==11.3.0 pytest==8.4.2 hypothesis==6.*
    wheels "$cache/litert" --no-deps ai-edge-litert==2.3.0 backports.strenum flatbuffers tqdm \
        typing-extensions 'protobuf>=5' "ml_dtypes<0.6"
else
    wheels "$cache/site" pytest==8.4.2 'hypothesis==6.*'
fi
wheels "$cache/tflite" --no-deps tflite-runtime==2.14.0
wheels "$cache/pip" --no-deps 'pip>=23.1' # for demo.py, which installs what anybody would

touch "$stamp"
echo "$cache"
