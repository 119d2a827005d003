// Binary convolution with AVX-512 VPOPCNTDQ, which counts the bits of 16 words in one instruction.
#include <immintrin.h>

#include "lanes_avx512.h"
#include "pack_avx512.h"
#include "tiles.h"

namespace larq_reactnet_runtime {
namespace {

// A step is two registers of filters, and a word of each patch that is compared with all of them.
struct Counter {
  using Lanes = Lanes16;
  static constexpr int kRegisters = 2;
  static constexpr int kFilters = 32;
  static constexpr int kPixels = 8;

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    Lanes::Ints (*counts)[kRegisters]) {
    __m512i low[kPatches], high[kPatches];
    for (int i = 0; i < kPatches; ++i) low[i] = high[i] = _mm512_setzero_si512();
    for (int step = 0; step < steps; ++step) {
      const __m512i low_filters = _mm512_loadu_si512(filters);
      const __m512i high_filters = _mm512_loadu_si512(filters + 16);
      for (int i = 0; i < kPatches; ++i) {
        const uint32_t* word = patches + static_cast<size_t>(i) * stride + step;
        const __m512i words = _mm512_set1_epi32(static_cast<int>(*word));
        const __m512i low_bits = _mm512_xor_si512(low_filters, words);
        const __m512i high_bits = _mm512_xor_si512(high_filters, words);
        low[i] = _mm512_add_epi32(low[i], _mm512_popcnt_epi32(low_bits));
        high[i] = _mm512_add_epi32(high[i], _mm512_popcnt_epi32(high_bits));
      }
      filters += kFilters;
    }
    for (int i = 0; i < kPatches; ++i) {
      counts[i][0] = reinterpret_cast<Lanes::Ints>(low[i]);
      counts[i][1] = reinterpret_cast<Lanes::Ints>(high[i]);
    }
  }
};

void Convolve(const Tile& tile) { ConvolveTile<Counter>(tile); }

}  // namespace

const Kernel kAvx512Vpopcntdq = {"avx512vpopcntdq", Counter::kFilters, 1,
                                 Counter::kPixels,  Convolve,          PackSigns};

}  // namespace larq_reactnet_runtime
