#!/bin/sh
# Makes a folder with compilers for ARM Cortex-M and RISC-V without an operating system, and with
# emulators of both. Nothing is installed outside of that folder, and nobody has to be root. There
# is no C library in it: libc/ here has the four functions that a network calls.
#
#   setup.sh         prints the folder, LARQ_REACTNET_MCU or ~/.cache/larq-reactnet-mcu
#
# It downloads 180 MB and keeps 330 MB. Exits with 77, which means "skip", and one line with the
# reason where that cannot be done.
set -eu

cache=${LARQ_REACTNET_MCU:-${XDG_CACHE_HOME:-$HOME/.cache}/larq-reactnet-mcu}
here=$(cd "$(dirname "$0")" && pwd)
debian=$here/../../runtime/tests/qemu/debian.sh
. "$debian"
need_debian tar cksum
# Whatever makes another toolchain makes a new folder.
stamp=$cache/$(cat "$here/setup.sh" "$debian" | cksum | tr ' ' -).done
if [ -f "$stamp" ]; then
    echo "$cache"
    exit
fi
rm -rf "$cache"
mkdir -p "$cache/root" "$cache/lib" "$cache/bin"
cache=$(cd "$cache" && pwd)

host=$(dpkg --print-architecture)
download "$host" gcc-arm-none-eabi gcc-riscv64-unknown-elf qemu-system-arm qemu-system-misc
for package in "$cache/apt/$host/cache/archives"/*.deb; do
    case $package in
        # The C library of this system must be the newer one: its loader knows no other.
        */libc6_* | */libc-bin_* | */qemu-system-data_*) continue ;;
    esac
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$cache/root" --exclude=./usr/share \
        --exclude='*/cc1plus' --exclude='*/lto1' --exclude='*/plugin' --exclude='*/*lto-dump' \
        --exclude='*/bin/*[+][+]*' --exclude='*/arm-none-eabi/*/arm' \
        --exclude='*/thumb/v[78]-[ar]*' --exclude='*/thumb/v7[v+]*' --exclude='*/thumb/v8*'
done
rm -rf "$cache/apt"
# What is kept: libraries of the programs, the programs themselves, and those two emulators.
find "$cache/root" ! -type d -name '*.so.*' -exec cp -L {} "$cache/lib/" \; 2>/dev/null || true
find "$cache/root" -name '*-linux-gnu' -prune -exec rm -rf {} +
mkdir "$cache/kept"
mv "$cache"/root/usr/bin/qemu-system-arm "$cache"/root/usr/bin/qemu-system-riscv32 "$cache/kept/"
rm -f "$cache"/root/usr/bin/qemu-*
mv "$cache"/kept/* "$cache/root/usr/bin/"
rmdir "$cache/kept"
for tool in arm-none-eabi-gcc arm-none-eabi-size arm-none-eabi-objdump riscv64-unknown-elf-gcc \
    riscv64-unknown-elf-size riscv64-unknown-elf-objdump qemu-system-arm qemu-system-riscv32; do
    cat >"$cache/bin/$tool" <<END
#!/bin/sh
LD_LIBRARY_PATH='$cache/lib' exec '$cache/root/usr/bin/$tool' "\$@"
END
    chmod +x "$cache/bin/$tool"
    "$cache/bin/$tool" --version >/dev/null 2>&1 || skip "$tool of Debian $release does not run here"
done
touch "$stamp"
echo "$cache"
