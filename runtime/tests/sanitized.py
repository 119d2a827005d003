"""Builds the library with a sanitizer, and runs pytest with it:

    sanitized.py address tests/test_ops.py      AddressSanitizer and UndefinedBehaviorSanitizer
    sanitized.py thread tests/test_ops.py       ThreadSanitizer

The sanitizer's own library has to be loaded before all others, and not into processes that Python
starts: LCE's, in which nothing of ours runs, would end. Of ThreadSanitizer's races only those count
that are in our library, as Python, NumPy and TensorFlow are built without it.

Needs CMake, ninja and GCC. Exits with 77 and the reason where GCC or its sanitizer is missing.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SANITIZERS = {"address": "address,undefined", "thread": "thread"}
RUNTIMES = {"address": "libasan.so", "thread": "libtsan.so"}
OPTIONS = {
    # Python and TensorFlow leave much behind when they end.
    "ASAN_OPTIONS": "detect_leaks=0 hard_rss_limit_mb=6000 exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1 exitcode=99",
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1 halt_on_error=1 report_signal_unsafe=0",
}
START = "import os, pytest, sys; del os.environ['LD_PRELOAD']; sys.exit(pytest.main(sys.argv[1:]))"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def first_libraries(sanitizer):
    """The compiler's library of the sanitizer, and that of C++, or exceptions end the process."""
    compiler = os.environ.get("CXX", "c++")
    paths = []
    for name in (RUNTIMES[sanitizer], "libstdc++.so"):
        command = [compiler, f"-print-file-name={name}"]
        try:
            found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        except FileNotFoundError:
            skip(f"there is no C++ compiler {compiler}, to build with -fsanitize={sanitizer}")
        if not os.path.isabs(found):
            skip(f"{compiler} has no {name}, which GCC has, for -fsanitize={sanitizer}")
        paths.append(found)
    libraries = " ".join(paths)
    started = subprocess.run(["true"], env={"LD_PRELOAD": libraries}, capture_output=True)
    if started.returncode or started.stderr:
        skip(f"{libraries} do not start: {started.stderr.decode().strip()}")
    return libraries


def run(sanitizer, folder, arguments, timeout=None, **environment):
    """Runs Python with a sanitizer, which writes what it finds into files of a folder."""
    options = {name: f"{text} log_path={folder}/report" for name, text in OPTIONS.items()}
    environment = {**os.environ, **options, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    environment["LD_PRELOAD"] = first_libraries(sanitizer)
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, timeout=timeout).returncode


def build(sanitizer):
    """The path of the library, built with a sanitizer."""
    folder = HERE.parent / "build" / sanitizer
    first_libraries(sanitizer)
    settings = ["-G", "Ninja", f"-DSANITIZE={SANITIZERS[sanitizer]}", "--log-level=WARNING"]
    folder.mkdir(parents=True, exist_ok=True)
    configure = ["cmake", "-S", str(HERE.parent), "-B", str(folder), *settings]
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a fuzzer may be about to build the same
        for command in (configure, ["cmake", "--build", str(folder)]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{' '.join(command)} fails:\n{done.stdout}{done.stderr}")
    return str(folder / "liblarq_reactnet_runtime.so")


def main(sanitizer, *arguments):
    library = build(sanitizer)
    command = ["-c", START, "-q", "-x", "-p", "no:cacheprovider", *arguments]
    # pytest would show nothing of what goes to stderr, were the process to end.
    with tempfile.TemporaryDirectory() as folder:
        code = run(sanitizer, folder, command, LARQ_REACTNET_LIBRARY=library)
        for report in Path(folder).iterdir():
            print(report.read_text(errors="replace"))
            code = code or 1
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
