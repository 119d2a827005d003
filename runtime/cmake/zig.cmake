# A cross-compiler from PyPI: `pip install ziglang`, then
#
#   cmake -DCMAKE_TOOLCHAIN_FILE=cmake/zig.cmake -DZIG=.../ziglang/zig -DZIG_TARGET=aarch64-linux-gnu.2.17
#
# The number at the end is the oldest glibc that the library shall run with. The C++ library is
# linked into it, so glibc is all that it needs.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG ZIG_TARGET)
if(NOT ZIG OR NOT ZIG_TARGET)
  message(FATAL_ERROR "Give -DZIG, the path of zig, and -DZIG_TARGET, such as aarch64-linux-gnu.2.17.")
endif()
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${ZIG_TARGET}")
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER "${ZIG}" cc -target ${ZIG_TARGET})
set(CMAKE_CXX_COMPILER "${ZIG}" c++ -target ${ZIG_TARGET})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE NEVER)
