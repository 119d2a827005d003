"""Programs for microcontrollers that run in an emulator: how to build them, run them, weigh them.

The compilers and emulators are those that `tools/mcu/setup.sh` makes. Beside the six cores there is
this machine, `host`, whose results the others are compared with.
"""

import functools
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = [
    "COMPILERS",
    "CORES",
    "FLAGS",
    "HOST",
    "MCU",
    "Core",
    "NoToolchainError",
    "Sizes",
    "build",
    "network_program",
    "run",
    "sizes",
    "toolchain",
    "weigh_program",
]

MCU = Path(__file__).parent / "mcu"
# Not -ffp-contract=off: the C of a network asks for that itself.
FLAGS = ("-std=gnu11", "-O3", "-ffreestanding", "-fbuiltin", "-fno-strict-aliasing")
_LIMIT = 300  # seconds


class NoToolchainError(OSError):
    """The compilers and emulators are not there."""


@dataclass(frozen=True)
class Core:
    """A processor, with what builds and runs programs for it.

    Attributes:
        name: What tables call it.
        kind: `"arm"`, `"riscv"` or `"host"`.
        flags: What the compiler is told of it.
        machine: What the emulator is told: the board, and the processor.
    """

    name: str
    kind: str
    flags: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()


def _arm(name: str, board: str, *flags: str) -> Core:
    return Core(name, "arm", ("-mthumb", *flags), ("-M", board))


def _riscv(name: str, march: str, cpu: str) -> Core:
    flags = (f"-march={march}", "-mabi=ilp32", "-mcmodel=medany")
    return Core(name, "riscv", flags, ("-M", "virt", "-cpu", cpu, "-bios", "none"))


# There is no M0+ with memory enough in the emulator: an M3 runs its code.
CORES = {
    "m0plus": _arm("Cortex-M0+", "mps2-an385", "-mcpu=cortex-m0plus"),
    "m3": _arm("Cortex-M3", "mps2-an385", "-mcpu=cortex-m3"),
    "m4f": _arm(
        "Cortex-M4F", "mps2-an386", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"
    ),
    "m7": _arm(
        "Cortex-M7", "mps2-an500", "-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"
    ),
    "rv32imac": _riscv("RISC-V rv32imac", "rv32imac", "rv32"),
    "rv32imac_zbb": _riscv("RISC-V rv32imac, Zbb", "rv32imac_zbb", "rv32,zbb=true"),
}
HOST = Core("this machine", "host")
COMPILERS = {"arm": "arm-none-eabi", "riscv": "riscv64-unknown-elf"}
_EMULATORS = {"arm": "qemu-system-arm", "riscv": "qemu-system-riscv32"}


@functools.cache
def toolchain() -> Path:
    """The folder with the compilers and emulators.

    Raises:
        NoToolchainError: If they are not there.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("LARQ_REACTNET_MCU") or caches / "larq-reactnet-mcu")
    if not any(folder.glob("*.done")):
        raise NoToolchainError(
            f"There are no compilers for microcontrollers in {folder}: tools/mcu/setup.sh fetches "
            "them, 180 MB."
        )
    return folder / "bin"


def _call(command: Sequence[str | Path]) -> str:
    """What a command prints.

    Raises:
        ValueError: If it fails; the message has its last line.
    """
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=_LIMIT, check=False
    )
    if done.returncode != 0:
        text = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        signs = ("error", "undefined reference")
        error = next((line for line in text if any(sign in line for sign in signs)), text[-1])
        raise ValueError(f"{Path(command[0]).name} ended with {done.returncode}: {error}")
    return done.stdout


def build(core: Core, program: Path, sources: Sequence[Path], flags: Sequence[str] = ()) -> Path:
    """Compile and link a program: sources in C, or objects, that have `main`.

    Raises:
        NoToolchainError: If tools/mcu/setup.sh has not been run.
        ValueError: If it fails; the message has its first error.
    """
    includes = (f"-I{MCU}", f"-I{MCU / 'libc'}")
    own = (MCU / f"{core.kind}.c", MCU / "libc" / "libc.c")
    compiler: str | Path = os.environ.get("CC", "cc")
    linking: tuple[str, ...] = ()
    library = ""
    if core.kind != "host":
        compiler = toolchain() / f"{COMPILERS[core.kind]}-gcc"
        # The driver does not find the library for a core with more than it was made for.
        like = [re.sub("_zbb", "", flag) for flag in core.flags]
        library = _call([compiler, *like, "-print-libgcc-file-name"]).strip()
        linking = ("-nostdlib", f"-Wl,-T,{MCU / core.kind}.ld,--gc-sections", "-ffunction-sections")
    after = (library,) if library else ()
    command = (compiler, *FLAGS, *core.flags, *includes, *linking, *flags, *sources, *own)
    _call([*command, "-o", program, *after])
    return program


def run(core: Core, program: Path) -> dict[str, list[tuple[int, ...]]]:
    """Run a program. Gives the numbers of the lines it prints, by the words they begin with.

    Raises:
        NoToolchainError: If tools/mcu/setup.sh has not been run.
        ValueError: If the program fails; the message says how.
    """
    command: list[str | Path] = [program]
    if core.kind != "host":
        command = [
            toolchain() / _EMULATORS[core.kind],
            *(*core.machine, "-display", "none"),
            *("-serial", "none", "-monitor", "none", "-icount", "shift=0"),
            *("-chardev", "stdio,id=out", "-semihosting-config"),
            *("enable=on,target=native,chardev=out", "-kernel", program),
        ]
    found = defaultdict(list)
    done = _call(command)
    for line in done.splitlines():
        word, *numbers = line.split()
        found[word].append(tuple(int(number, 16) for number in numbers))
    return dict(found)


@dataclass(frozen=True)
class Sizes:
    """What a linked program takes.

    Attributes:
        flash: Bytes of code, constants, and what variables begin with.
        ram: Bytes of variables.
    """

    flash: int
    ram: int


def sizes(core: Core, program: Path) -> Sizes:
    """What a program takes, as the linker placed it."""
    text = _call([toolchain() / f"{COMPILERS[core.kind]}-size", program]).splitlines()[1]
    code, data, bss = (int(number) for number in re.findall(r"\d+", text)[:3])
    return Sizes(code + data, data + bss)


def network_program(name: str, images: np.ndarray, into: Path) -> Path:
    """Write the program that runs a network on images.

    Args:
        name: Prefix of the network.
        images: Images of the type that the network takes, of shape `(count, ...)`.
        into: Where to write it.

    Returns:
        Its source, for `build` with `-I` of the folder that has `NAME.c`, and of `into`.
    """
    ctype = {"uint8": "uint8_t", "int8": "int8_t", "float32": "float"}[str(images.dtype)]
    values = (value.hex() if ctype == "float" else str(value) for value in images.ravel().tolist())
    (into / "images.h").write_text(
        f"#define IMAGES {len(images)}\n#define IMAGE_VALUES {images[0].size}\n"
        f"static const {ctype} images[] = {{{','.join(values)}}};\n"
    )
    return _of_network("main.c", name, into)


def weigh_program(name: str, into: Path) -> Path:
    """Write the program that has a network and nothing else, whose `sizes` are the network's."""
    return _of_network("weigh.c", name, into)


def _of_network(template: str, name: str, into: Path) -> Path:
    text = (MCU / template).read_text()
    source = into / template
    source.write_text(text.replace("UPPER", name.upper()).replace("NAME", name))
    return source
