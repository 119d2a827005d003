// Binary convolution with AVX2.
#include <immintrin.h>

#include "bytes.h"

namespace larq_reactnet_runtime {
namespace {

struct Lanes8 : Register<32> {
  static uint32_t IsNegative(Floats values) {
    const __m256 is_negative =
        _mm256_cmp_ps(reinterpret_cast<__m256>(values), _mm256_setzero_ps(), _CMP_LT_OQ);
    return static_cast<uint32_t>(_mm256_movemask_ps(is_negative));
  }
  static uint32_t IsGreater(Ints a, Ints b) {
    return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(a > b)));
  }
};

struct Vector {
  using Bits = __m256i;
  using Lanes = Lanes8;
  static constexpr int kWords = 8;

  static Bits Zero() { return _mm256_setzero_si256(); }
  static Bits Load(const uint32_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
  }
  static Bits Repeat(uint32_t word) { return _mm256_set1_epi32(static_cast<int>(word)); }
  static Bits Xor(Bits a, Bits b) { return _mm256_xor_si256(a, b); }
  static Bits AddBytes(Bits a, Bits b) { return _mm256_add_epi8(a, b); }
  static Bits AddWords(Bits a, Bits b) { return _mm256_add_epi32(a, b); }

  static void Add(Bits* sum, Bits a, Bits b, Bits* carry) {
    const Bits unequal = _mm256_xor_si256(a, b);
    *carry = _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(*sum, unequal));
    *sum = _mm256_xor_si256(*sum, unequal);
  }

  static Bits CountBytes(Bits bits) {
    const Bits counts =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const Bits nibble = _mm256_set1_epi8(15);
    const Bits low = _mm256_and_si256(bits, nibble);
    const Bits high = _mm256_and_si256(_mm256_srli_epi32(bits, 4), nibble);
    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, low), _mm256_shuffle_epi8(counts, high));
  }

  static Bits SumBytes(Bits bytes) {
    const Bits pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
};

void Convolve(const Tile& tile) { ConvolveTile<ByteCounter<Vector, 2>>(tile); }

uint32_t NegativeOf8(const float* values) {
  return Lanes8::IsNegative(Load<Lanes8::Floats>(values));
}

void PackSigns(const float* values, size_t count, uint32_t* words) {
  for (; count >= 32; count -= 32, values += 32) {
    *words++ = NegativeOf8(values) | NegativeOf8(values + 8) << 8 | NegativeOf8(values + 16) << 16 |
               NegativeOf8(values + 24) << 24;
  }
  if (count == 0) return;
  uint32_t word = 0;
  for (size_t i = 0; i < count; ++i) word |= uint32_t{values[i] < 0} << i;
  *words = word;
}

}  // namespace

const Kernel kAvx2 = {"avx2", Vector::kWords, 1, 2, Convolve, PackSigns};

}  // namespace larq_reactnet_runtime
