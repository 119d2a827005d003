// Signs as bits: 32 channels to a word, the first in the lowest bit, 1 for negative.
#pragma once

#include <cstddef>
#include <cstdint>

namespace larq_reactnet_runtime {

// Packs `count` signs into words, the last one filled up with zeros. NaN and -0.0 are not negative.
void PackSigns(const float* values, size_t count, uint32_t* words);

// The same for quantized values, which are negative below their zero point.
void PackSigns(const int8_t* values, size_t count, int zero_point, uint32_t* words);

// Writes one of two values for each of `count` bits.
template <class Value>
void Unpack(const uint32_t* words, size_t count, Value positive, Value negative, Value* values) {
  for (size_t i = 0; i < count; ++i) {
    values[i] = words[i / 32] >> (i % 32) & 1 ? negative : positive;
  }
}

}  // namespace larq_reactnet_runtime
