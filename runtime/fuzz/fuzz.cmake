# The fuzzers in C++, for CMake's option FUZZ: with Clang, as libFuzzer is a part of it. The library's
# sources are built into them, with all names visible and AddressSanitizer and UBSan in them.
set(FUZZ_OPTIONS -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
  -Wno-unknown-warning-option)
get_target_property(FUZZED larq_reactnet_runtime SOURCES)
add_library(fuzzed STATIC EXCLUDE_FROM_ALL ${FUZZED})
target_include_directories(fuzzed PRIVATE src)
target_compile_options(fuzzed PRIVATE -ffp-contract=off ${FUZZ_OPTIONS})
target_link_libraries(fuzzed PUBLIC Threads::Threads)
add_executable(fuzz_options EXCLUDE_FROM_ALL fuzz/options.cc src/ops/options.cc
  src/base/flexbuffer.cc)
add_executable(fuzz_graph EXCLUDE_FROM_ALL fuzz/graph.cc fuzz/interpreter.cc fuzz/network.cc)
foreach(FUZZER fuzz_options fuzz_graph)
  target_include_directories(${FUZZER} PRIVATE src)
  target_compile_options(${FUZZER} PRIVATE -Wall -Wextra ${FUZZ_OPTIONS})
  target_link_options(${FUZZER} PRIVATE -fsanitize=fuzzer,address,undefined)
endforeach()
target_link_libraries(fuzz_graph PRIVATE fuzzed)
