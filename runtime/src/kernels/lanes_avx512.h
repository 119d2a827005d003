// Registers of AVX-512.
#pragma once

#include <immintrin.h>

#include "kernels/lanes.h"

namespace larq_reactnet_runtime {
namespace {

struct Lanes16 : Register<64> {
  static uint32_t IsNegative(Floats values) {
    return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(values), _mm512_setzero_ps(), _CMP_LT_OQ);
  }
  static uint32_t IsGreater(Ints a, Ints b) {
    return _mm512_cmpgt_epi32_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
  }
};

}  // namespace
}  // namespace larq_reactnet_runtime
