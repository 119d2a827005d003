"""What a user of a Raspberry Pi does, in an emulator: install the wheel, and classify photos.

    python demo.py MODEL.tflite PHOTO...

A new environment gets the wheel for aarch64, or that of --machine, and all that it needs from PyPI,
by the pip of the emulated machine; another one gets the wheel for this machine. (PyPI has no NumPy
and no Pillow for 32-bit ARM: those are Debian's.) In both, the command `larq-reactnet-runtime
predict` classifies the photos. Larq Compute Engine's own interpreter does so too, by `larq-reactnet
predict --engine lce`. All have to give the same classes, and the same probabilities but for
--tolerance. Where a file has dense layers in int8, LiteRT and LCE round their inputs differently:
--lce-tolerance says how far LCE's probabilities may be from the others.

Needs larq_reactnet in this Python, the emulator of setup.sh, and the wheels of `make wheels`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE.parents[1] / "dist"


def run(command, **environment):
    """The output of a command, or an end with its last line."""
    environment = {**os.environ, **environment}
    command = [str(part) for part in command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        sys.exit(f"{' '.join(command[:4])} ...: {lines[-1]}")
    return done.stdout


PROCESSORS = {  # the emulator of a machine, and a processor
    "aarch64": ("qemu-aarch64", "cortex-a72"),
    "armv7l": ("qemu-arm", "cortex-a7"),
}


def emulator(machine):
    """How to start Python on the emulated machine, and where its pip is."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    cache = Path(os.environ.get("LARQ_REACTNET_QEMU", caches / "larq-reactnet-qemu"))
    if machine != "aarch64":
        cache = cache.with_name(f"{cache.name}-{machine}")
    if not (cache / "pip").is_dir():
        make = f"MACHINE={machine} {HERE / 'setup.sh'}"
        sys.exit(f"There is no emulator with pip in {cache}. To make it: {make}")
    name, processor = PROCESSORS[machine]
    start = [cache / name, "-cpu", processor, "-L", cache / "root"]
    return start, cache / "root" / "usr" / "bin" / "python3.11", cache / "pip"


def wheel(dist, machine):
    """The wheel for a machine, with the packages for photos."""
    found = sorted(dist.glob(f"*linux*_{machine}.whl"))
    if not found:
        sys.exit(f"There is no wheel for {machine} in {dist}. To make it: make -C runtime wheels")
    return f"{found[-1]}[image]"


def predict(start, folder, arguments):
    """What the installed command prints."""
    command = folder / "bin" / "larq-reactnet-runtime"
    return run([*start, folder / "bin" / "python", command, "predict", *arguments])


def on_arm(args, folder, arguments):
    """In the emulator. A venv gets no pip there: that would start a program in the emulator."""
    start, python, pip = emulator(args.machine)
    venv = [*start, python, "-m", "venv", "--without-pip"]
    run([*venv, *(["--system-site-packages"] if args.machine == "armv7l" else []), folder])
    install = [*start, folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    run([*install, wheel(args.dist, args.machine)], PYTHONPATH=str(pip))
    return predict(start, folder, arguments)


def on_this_machine(args, folder, arguments):
    """The same without an emulator."""
    run([sys.executable, "-m", "venv", folder])
    run([folder / "bin" / "python", "-m", "pip", "install", "-q", wheel(args.dist, "x86_64")])
    return predict([], folder, arguments)


def by_lce(args, folder, arguments):
    """By LCE's own interpreter."""
    code = "from larq_reactnet_cli import main; main()"
    return run([sys.executable, "-c", code, "predict", *arguments, "--engine", "lce"])


ENGINES = {
    "ARM, installed by pip": on_arm,
    "x86_64, installed by pip": on_this_machine,
    "LCE's interpreter": by_lce,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("--machine", choices=PROCESSORS, default="aarch64")
    parser.add_argument("--dist", type=Path, default=DIST, help="folder of the wheels")
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "build" / "demo")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--lce-tolerance", type=float, help="that of --tolerance")
    parser.add_argument("--mean", help="if the file does not say it: see `predict --help`")
    parser.add_argument("--std")
    args = parser.parse_args()
    arguments = [args.model, *args.photos, "--json", "--top", "1000000"]
    if args.mean and args.std:
        arguments += ["--mean", args.mean, "--std", args.std]
    tolerances = dict.fromkeys(ENGINES, args.tolerance)
    if args.lce_tolerance is not None:
        tolerances["LCE's interpreter"] = args.lce_tolerance
    results = {}
    for number, (name, engine) in enumerate(ENGINES.items()):
        folder = args.folder.resolve() / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        found = json.loads(engine(args, folder, arguments))
        results[name] = [
            {entry["label"]: entry["probability"] for entry in row["classes"]} for row in found
        ]
    first, *others = results
    worst = dict.fromkeys(others, 0.0)
    wrong = []
    for index, photo in enumerate(args.photos):
        expected = results[first][index]
        best = next(iter(expected))
        print(f"{photo}: {best} {expected[best]:.6f}")
        for name in others:
            found = results[name][index]
            distance = max(abs(found[label] - p) for label, p in expected.items())
            worst[name] = max(worst[name], distance)
            if next(iter(found)) != best or distance > tolerances[name]:
                wrong.append(f"{photo} by {name}")
    for name in others:
        print(f"{name}: at most {worst[name]:.1e} from {first}")
    if wrong:
        sys.exit(f"Not the same: {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
