#!/bin/sh
# Builds one of the fuzzers in C++ and runs it:
#
#   run.sh options 600    the parser of operators' options, for 600 seconds
#   run.sh graph 600      all that is done with a graph
#
# It starts from the inputs in corpus/, finds more, and keeps them in build/corpus/. What crashes, reads
# out of bounds, has undefined behaviour or takes longer than 20 seconds is an error; the input of that
# is in build/findings/, and build/fuzz_graph/fuzz_graph build/findings/... runs it again.
#
# Needs Clang, as libFuzzer is a part of it: CLANG, clang++, or one of Debian's with a number (packages
# clang-14 and libclang-rt-14-dev). Exits with 77 and the reason where there is none.
set -eu
cd "$(dirname "$0")/.."
name=$1
seconds=$2
case $name in
options) longest=4200 ;; # as much as is read at all, and a little more
graph) longest=256 ;;
*) echo "there is no fuzzer $name, only options and graph" >&2 && exit 1 ;;
esac

program='extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
for clang in ${CLANG:-clang++ clang++-19 clang++-16 clang++-14} ""; do
    if [ -n "$clang" ] && echo "$program" |
        "$clang" -x c++ -fsanitize=fuzzer,address -o /dev/null - 2>/dev/null; then break; fi
done
if [ -z "$clang" ]; then
    echo "skipped: there is no clang++ with libFuzzer, for the fuzzer $name"
    exit 77
fi

mkdir -p "build/fuzz_$name"
log=build/fuzz_$name/log
{
    cmake -S . -B "build/fuzz_$name" -G Ninja -DFUZZ=ON -DCMAKE_CXX_COMPILER="$clang" &&
        cmake --build "build/fuzz_$name" --target "fuzz_$name"
} >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
}
mkdir -p "build/corpus/$name" build/findings
echo "fuzz $name: $seconds seconds"
"build/fuzz_$name/fuzz_$name" "build/corpus/$name" "fuzz/corpus/$name" -max_total_time="$seconds" \
    -max_len=$longest -len_control=0 -timeout=20 -artifact_prefix=build/findings/ 2>"$log" || {
    grep -v -e NEW -e REDUCE "$log"
    exit 1
}
grep -e DONE "$log"
