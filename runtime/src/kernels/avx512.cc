// Binary convolution with AVX-512 BW, for processors without an instruction that counts the bits of
// a vector. A table counts those of bytes; before that, words are added up bit by bit, so that
// fewer have to be counted.
//
// Three words of bits add up to two: one with the sum of each bit, one with the carry, which is
// worth twice as much. So of four words only one has to be counted ("Harley-Seal").
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
  static constexpr int kFilters = kRegisters * Lanes::kLanes;
  static constexpr int kPixels = 3;

  // A byte of fours grows by at most 8 per round, and must stay below 256.
  static constexpr int kMostRounds = 31;

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    Lanes::Ints (*counts)[kRegisters]) {
    __m512i ones[kPatches][kRegisters], twos[kPatches][kRegisters];
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kRegisters; ++j) {
        ones[i][j] = twos[i][j] = _mm512_setzero_si512();
        counts[i][j] = Lanes::Ints{};
      }
    }
    for (int rounds = steps / 4; rounds > 0;) {
      const int most = rounds < kMostRounds ? rounds : kMostRounds;
      rounds -= most;
      __m512i fours[kPatches][kRegisters];
      for (int i = 0; i < kPatches; ++i) {
        for (int j = 0; j < kRegisters; ++j) fours[i][j] = _mm512_setzero_si512();
      }
      for (int round = 0; round < most; ++round) {
        for (int i = 0; i < kPatches; ++i) {
          const uint32_t* words = patches + static_cast<size_t>(i) * stride;
          for (int j = 0; j < kRegisters; ++j) {
            const uint32_t* bits = filters + j * Lanes::kLanes;
            __m512i first_twos, second_twos, new_fours;
            Add(&ones[i][j], Unequal(bits, words, 0), Unequal(bits, words, 1), &first_twos);
            Add(&ones[i][j], Unequal(bits, words, 2), Unequal(bits, words, 3), &second_twos);
            Add(&twos[i][j], first_twos, second_twos, &new_fours);
            fours[i][j] = _mm512_add_epi8(fours[i][j], CountBytes(new_fours));
          }
        }
        filters += 4 * kFilters;
        patches += 4;
      }
      for (int i = 0; i < kPatches; ++i) {
        for (int j = 0; j < kRegisters; ++j) counts[i][j] += SumBytes(fours[i][j]) * 4;
      }
    }
    // What is left: up to three words, and the ones and twos that have not become carries. A byte
    // of their count stays below 64.
    __m512i rest[kPatches][kRegisters];
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kRegisters; ++j) {
        rest[i][j] = _mm512_setzero_si512();
        if (steps < 4) continue;
        rest[i][j] = CountBytes(twos[i][j]);
        rest[i][j] = _mm512_add_epi8(rest[i][j], rest[i][j]);
        rest[i][j] = _mm512_add_epi8(rest[i][j], CountBytes(ones[i][j]));
      }
    }
    for (int step = 0; step < steps % 4; ++step) {
      for (int i = 0; i < kPatches; ++i) {
        const uint32_t* words = patches + static_cast<size_t>(i) * stride;
        for (int j = 0; j < kRegisters; ++j) {
          const __m512i bits = Unequal(filters + j * Lanes::kLanes, words, step);
          rest[i][j] = _mm512_add_epi8(rest[i][j], CountBytes(bits));
        }
      }
    }
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kRegisters; ++j) counts[i][j] += SumBytes(rest[i][j]);
    }
  }

 private:
  static __m512i Unequal(const uint32_t* filters, const uint32_t* words, int step) {
    const __m512i bits = _mm512_loadu_si512(filters + step * kFilters);
    return _mm512_xor_si512(bits, _mm512_set1_epi32(static_cast<int>(words[step])));
  }

  // The last argument of the instruction is the truth table of a function of three bits.
  static void Add(__m512i* sum, __m512i a, __m512i b, __m512i* carry) {
    *carry = _mm512_ternarylogic_epi32(*sum, a, b, 0xE8);
    *sum = _mm512_ternarylogic_epi32(*sum, a, b, 0x96);
  }

  static __m512i CountBytes(__m512i bits) {
    const __m512i counts =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i low = _mm512_and_si512(bits, nibble);
    const __m512i high = _mm512_and_si512(_mm512_srli_epi32(bits, 4), nibble);
    return _mm512_add_epi8(_mm512_shuffle_epi8(counts, low), _mm512_shuffle_epi8(counts, high));
  }

  static Lanes::Ints SumBytes(__m512i bytes) {
    const __m512i pairs = _mm512_maddubs_epi16(bytes, _mm512_set1_epi8(1));
    return reinterpret_cast<Lanes::Ints>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};

void Convolve(const Tile& tile) { ConvolveTile<Counter>(tile); }

constexpr Kernel MakeAvx512() {
  Kernel kernel;
  kernel.name = "avx512";
  kernel.filters = Counter::kFilters;
  kernel.words = 1;
  kernel.pixels = Counter::kPixels;
  kernel.convolve = Convolve;
  kernel.pack_signs = PackSigns;
  return kernel;
}

}  // namespace

constexpr Kernel kAvx512 = MakeAvx512();
static_assert(IsComplete(kAvx512));

}  // namespace larq_reactnet_runtime
