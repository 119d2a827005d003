// What the operators know of a tensor, independent of the interpreter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace larq_reactnet_runtime {

// Why something cannot be done, as a sentence; empty if it can.
using Reason = std::string;

using Shape = std::vector<int>;

enum class Type { kFloat32, kInt8, kInt32, kOther };

struct Tensor {
  Type type = Type::kOther;
  Shape shape;
  float scale = 0;
  int zero_point = 0;
  bool is_quantized = false;
  const void* constant = nullptr;  // its values, if they are known before anything is run
  size_t bytes = 0;
};

}  // namespace larq_reactnet_runtime
