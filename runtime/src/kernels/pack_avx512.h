// Packs the signs of floats with AVX-512, which compares 16 of them into 16 bits.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace larq_reactnet_runtime {
namespace {

inline uint32_t NegativeOf16(const float* values, size_t count) {
  const auto mask = static_cast<__mmask16>(count < 16 ? (1u << count) - 1 : 0xFFFFu);
  const __m512 sixteen = _mm512_maskz_loadu_ps(mask, values);
  return _mm512_cmp_ps_mask(sixteen, _mm512_setzero_ps(), _CMP_LT_OQ);
}

inline void PackSigns(const float* values, size_t count, uint32_t* words) {
  for (; count >= 32; count -= 32, values += 32) {
    *words++ = NegativeOf16(values, 16) | NegativeOf16(values + 16, 16) << 16;
  }
  if (count > 16) {
    *words = NegativeOf16(values, 16) | NegativeOf16(values + 16, count - 16) << 16;
  } else if (count > 0) {
    *words = NegativeOf16(values, count);
  }
}

}  // namespace
}  // namespace larq_reactnet_runtime
