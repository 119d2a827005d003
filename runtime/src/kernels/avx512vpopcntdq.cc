// Binary convolution with AVX-512 VPOPCNTDQ, which counts the bits of 16 words in one instruction.
#include <immintrin.h>

#include "kernels/lanes_avx512.h"
#include "kernels/pack_avx512.h"
#include "kernels/tiles.h"

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

// The same for long patches, with fewer instructions: a full adder turns two words into one that
// has to be counted. From words x and y, and s that is left over from before, it computes the
// parity s ^ x ^ y, which is the next s, and the carry, which is worth twice as much: s where s ^ x
// is 0, and y elsewhere.
//
// The parity of the first k words of `filter ^ patch` is the parity of the first k words of the
// filter ^ that of the first k words of the patch. So `Prepare` replaces the words of each filter
// and of each patch by these running parities, once for all comparisons. What is left of a full
// adder is one instruction.
struct ParityCounter {
  using Lanes = Lanes16;
  static constexpr int kRegisters = Counter::kRegisters;
  static constexpr int kFilters = Counter::kFilters;
  static constexpr int kPixels = 4;

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    Lanes::Ints (*counts)[kRegisters]) {
    __m512i carries[kPatches][kRegisters], parity[kPatches][kRegisters];
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kRegisters; ++j) carries[i][j] = parity[i][j] = _mm512_setzero_si512();
    }
    for (int step = 0; step + 1 < steps; step += 2) {
      __m512i first[kRegisters], second[kRegisters];
      for (int j = 0; j < kRegisters; ++j) {
        first[j] = _mm512_loadu_si512(filters + 16 * j);
        second[j] = _mm512_loadu_si512(filters + kFilters + 16 * j);
      }
      for (int i = 0; i < kPatches; ++i) {
        const uint32_t* words = patches + static_cast<size_t>(i) * stride + step;
        const __m512i low = _mm512_set1_epi32(static_cast<int>(words[0]));
        const __m512i high = _mm512_set1_epi32(static_cast<int>(words[1]));
        for (int j = 0; j < kRegisters; ++j) {
          const __m512i middle = _mm512_xor_si512(first[j], low);
          const __m512i next = _mm512_xor_si512(second[j], high);
          // The table of: the complement of `next` where `middle` is set, else `parity`.
          const __m512i carry = _mm512_ternarylogic_epi32(middle, next, parity[i][j], 0x3A);
          carries[i][j] = _mm512_add_epi32(carries[i][j], _mm512_popcnt_epi32(carry));
          parity[i][j] = next;
        }
      }
      filters += 2 * kFilters;
    }
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kRegisters; ++j) {
        __m512i count = _mm512_add_epi32(carries[i][j], carries[i][j]);
        count = _mm512_add_epi32(count, _mm512_popcnt_epi32(parity[i][j]));
        if (steps % 2 != 0) {
          const uint32_t* word = patches + static_cast<size_t>(i) * stride + steps - 1;
          const __m512i last = _mm512_xor_si512(_mm512_loadu_si512(filters + 16 * j),
                                                _mm512_set1_epi32(static_cast<int>(*word)));
          count = _mm512_add_epi32(count, _mm512_popcnt_epi32(last));
        }
        counts[i][j] = reinterpret_cast<Lanes::Ints>(count);
      }
    }
  }
};

// If the number of words is odd, the last one stays what it is.
void Prepare(uint32_t* row, int steps, bool) {
  for (int step = 1; step < steps / 2 * 2; ++step) row[step] ^= row[step - 1];
}

constexpr int kPreparedSteps = 16;

void Convolve(const Tile& tile) {
  if (tile.steps >= kPreparedSteps) return ConvolveTile<ParityCounter>(tile);
  ConvolveTile<Counter>(tile);
}

constexpr Kernel MakeAvx512Vpopcntdq() {
  Kernel kernel;
  kernel.name = "avx512vpopcntdq";
  kernel.filters = Counter::kFilters;
  kernel.words = 1;
  kernel.pixels = Counter::kPixels;
  kernel.convolve = Convolve;
  kernel.pack_signs = PackSigns;
  kernel.prepared_steps = kPreparedSteps;
  kernel.prepare = Prepare;
  return kernel;
}

}  // namespace

constexpr Kernel kAvx512Vpopcntdq = MakeAvx512Vpopcntdq();
static_assert(IsComplete(kAvx512Vpopcntdq));

}  // namespace larq_reactnet_runtime
