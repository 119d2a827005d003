// The version of the library, which is that of the Python package: a test compares them, and the
// package asks the library before it uses it.
#pragma once

namespace larq_reactnet_runtime {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace larq_reactnet_runtime
