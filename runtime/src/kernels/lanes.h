// Vector registers of 32-bit numbers, in a notation of the compiler that is the same for all
// processors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace larq_reactnet_runtime {
namespace {

template <int kBytes>
struct Register {
  static constexpr int kLanes = kBytes / 4;
  typedef int32_t Ints __attribute__((vector_size(kBytes)));
  typedef float Floats __attribute__((vector_size(kBytes)));
};

// The address need not be aligned.
template <class Vector, class Number>
inline Vector Load(const Number* numbers) {
  Vector vector;
  std::memcpy(&vector, numbers, sizeof(vector));
  return vector;
}

template <class Vector, class Number>
inline void Store(const Vector& vector, Number* numbers) {
  std::memcpy(numbers, &vector, sizeof(vector));
}

}  // namespace
}  // namespace larq_reactnet_runtime
