// From counts of unequal bits to outputs: clamp, multiplier and bias, or a threshold.
//
// Of K products of signs, c are -1: their sum is K - 2c. LCE clamps the sum (its fused activation),
// multiplies it and adds a bias. Here 2c is clamped, and multiplier and bias are such that the
// result is the same. Doubled counts stay integers when half a channel is needed: a padded zero
// counts as half of its bits.
//
// The functions are compiled once for each instruction set. They are in an unnamed namespace, and
// call nothing of the standard library, lest the linker keep one version, for the wrong processor.
#pragma once

#include <cstring>

#include "kernels/kernel.h"

namespace larq_reactnet_runtime {
namespace {

// To the nearest integer, halves away from zero; NaN to the lowest.
inline int8_t ToInt8(float value) {
  const float low = value > -128.0f ? value : -128.0f;
  const float clamped = low < 127.0f ? low : 127.0f;
  const int32_t whole = static_cast<int32_t>(clamped);
  const float rest = clamped - static_cast<float>(whole);
  return static_cast<int8_t>(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

// Bits of other channels may be in the same words: those of this block are added.
inline void AddBits(uint32_t bits, int channel, uint32_t* words) {
  words += channel / 32;
  const int shift = channel % 32;
  words[0] |= bits << shift;
  if (shift != 0 && bits >> (32 - shift) != 0) words[1] |= bits >> (32 - shift);
}

template <int kFilters>
inline void Finish(const Tile& tile, int pixel, const int32_t* counts) {
  const Epilogue& epilogue = *tile.epilogue;
  int32_t doubled[kFilters];
  for (int i = 0; i < kFilters; ++i) doubled[i] = 2 * counts[i];
  if (tile.corrections != nullptr) {
    const int32_t* correction = tile.corrections[pixel] + tile.block;
    for (int i = 0; i < kFilters; ++i) doubled[i] += correction[i];
  }
  const size_t row = static_cast<size_t>(pixel) * tile.output_stride;

  if (epilogue.output == Output::kBits) {
    const int32_t* thresholds = epilogue.thresholds + tile.block;
    uint32_t bits = 0;
    for (int i = 0; i < kFilters; ++i)
      bits |= static_cast<uint32_t>(doubled[i] > thresholds[i]) << i;
    if (tile.channels < 32) bits &= (uint32_t{1} << tile.channels) - 1;
    AddBits(bits, tile.channel, static_cast<uint32_t*>(tile.output) + row);
    return;
  }

  const float* multiplier = epilogue.multiplier + tile.block;
  const float* bias = epilogue.bias + tile.block;
  const int32_t lowest = epilogue.lowest, highest = epilogue.highest;
  float values[kFilters];
  for (int i = 0; i < kFilters; ++i) {
    const int32_t low = doubled[i] > lowest ? doubled[i] : lowest;
    const int32_t clamped = low < highest ? low : highest;
    values[i] = static_cast<float>(clamped) * multiplier[i] + bias[i];
  }
  const size_t first = row + static_cast<size_t>(tile.channel);
  if (epilogue.output == Output::kInt8) {
    int8_t bytes[kFilters];
    for (int i = 0; i < kFilters; ++i) bytes[i] = ToInt8(values[i]);
    std::memcpy(static_cast<int8_t*>(tile.output) + first, bytes,
                static_cast<size_t>(tile.channels));
    return;
  }
  float* output = static_cast<float*>(tile.output) + first;
  if (tile.channels == kFilters) {  // a size known to the compiler makes this a few instructions
    std::memcpy(output, values, sizeof(values));
  } else {
    std::memcpy(output, values, static_cast<size_t>(tile.channels) * sizeof(float));
  }
}

}  // namespace
}  // namespace larq_reactnet_runtime
