"""Compiles CMSIS-NN and CBin-NN for the emulated cores, for benchmarks/microcontrollers.py.

Neither is part of this repository. Clone github.com/ARM-software/CMSIS-NN (99f736a6 was measured)
and github.com/Edge-Learning-Machine/CBin-NN (c82948e) first. The compilers are those of
tools/mcu/setup.sh.
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from emulated_cores import COMPILERS, CORES, FLAGS, MCU, Core, toolchain
from tqdm import tqdm

EXAMPLES = """examples:
  python tools/peers.py /tmp/cmsis-nn --cmsis-nn ~/CMSIS-NN
  python tools/peers.py /tmp/cbin-nn --cbin-nn ~/CBin-NN
"""
# Kernels in float, which need headers of their own, and what is no kernel.
_LEFT_OUT = re.compile("f16|f32|flt|Bindings|LSTM|SVD")
# What CBin-NN's only header includes, and its layer does not need.
_STUBS = {
    "Test_image.h": "",
    "bnn_params.h": "",
    "stdio.h": "",
    "cstring": "#include <string.h>\n",
    "math.h": "static inline double ceil(double x) "
    "{ double y = (double)(int)x; return y < x ? y + 1 : y; }\n",
}


def compile_library(core: Core, sources: Sequence[Path], flags: Sequence[str], path: Path) -> None:
    """Compile sources into a library, as benchmarks compile the rest."""
    tools, prefix = toolchain(), COMPILERS[core.kind]
    with tempfile.TemporaryDirectory() as objects:
        own = [flag for flag in FLAGS if flag != "-fno-strict-aliasing"]  # which makes them slower
        # The first folders have what stands in for headers.
        includes = (*flags, f"-I{MCU / 'libc'}")
        command = [str(tools / f"{prefix}-gcc"), *own, *core.flags, "-ffunction-sections", "-w"]
        subprocess.run([*command, *includes, "-c", *sources], cwd=objects, check=True)
        path.unlink(missing_ok=True)
        # Only the compilers have a script of their own that finds their libraries.
        archiver = tools.parent / "root" / "usr" / "bin" / f"{prefix}-ar"
        libraries = {**os.environ, "LD_LIBRARY_PATH": str(tools.parent / "lib")}
        made = sorted(Path(objects).glob("*.o"))
        subprocess.run([archiver, "rcs", path, *made], env=libraries, check=True)


def main() -> None:
    """Compile one of them for all cores."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where CORE.a and headers are written")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--cmsis-nn", type=Path, help="a clone of CMSIS-NN")
    which.add_argument("--cbin-nn", type=Path, help="a clone of CBin-NN")
    args = parser.parse_args()
    folder = args.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if args.cmsis_nn:
        root = args.cmsis_nn.absolute()
        sources = [
            p
            for p in sorted(root.glob("Source/**/*.c"))
            if not _LEFT_OUT.search(str(p.relative_to(root)))
        ]
        flags = [f"-I{root / 'Include'}"]
        shutil.copytree(root / "Include", folder / "Include", dirs_exist_ok=True)
    else:
        operators = args.cbin_nn.absolute() / "Operators"
        sources = [operators / "BBConv2D.c"]
        stubs = folder / "stubs"
        stubs.mkdir(exist_ok=True)
        for name, text in _STUBS.items():
            (stubs / name).write_text(text)
        flags = [f"-I{stubs}", f"-I{operators}"]
    if not sources or not sources[0].exists():
        parser.error("there are no sources: give the folder of a clone.")
    for name, core in tqdm(CORES.items(), unit="core"):
        compile_library(core, sources, flags, folder / f"{name}.a")


if __name__ == "__main__":
    main()
