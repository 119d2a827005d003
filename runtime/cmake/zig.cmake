# A cross-compiler from PyPI: `pip install ziglang`, then
#
#   cmake -DCMAKE_TOOLCHAIN_FILE=cmake/zig.cmake -DZIG=.../ziglang/zig -DZIG_TARGET=aarch64-linux-gnu.2.17
#
# The number at the end is the oldest glibc that the library shall run with, or the oldest macOS
# (aarch64-macos.12.0). The C++ library is linked into it, so what the system has is all that it needs.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG ZIG_TARGET)
if(NOT ZIG OR NOT ZIG_TARGET)
  message(FATAL_ERROR "Give -DZIG, the path of zig, and -DZIG_TARGET, such as aarch64-linux-gnu.2.17.")
endif()
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${ZIG_TARGET}")
if(ZIG_TARGET MATCHES macos)
  set(CMAKE_SYSTEM_NAME Darwin)
elseif(ZIG_TARGET MATCHES windows)
  set(CMAKE_SYSTEM_NAME Windows)
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()
set(CMAKE_C_COMPILER "${ZIG}" cc -target ${ZIG_TARGET})
set(CMAKE_CXX_COMPILER "${ZIG}" c++ -target ${ZIG_TARGET})
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON) # there is none, and CMake can change it in ELF files only
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE NEVER)
