// Binary convolution with AVX-512 BW, for processors that do not count bits of vectors.
#include <immintrin.h>

#include "bytes.h"
#include "lanes_avx512.h"
#include "pack_avx512.h"

namespace larq_reactnet_runtime {
namespace {

struct Vector {
  using Bits = __m512i;
  using Lanes = Lanes16;
  static constexpr int kWords = 16;

  static Bits Zero() { return _mm512_setzero_si512(); }
  static Bits Load(const uint32_t* words) { return _mm512_loadu_si512(words); }
  static Bits Repeat(uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  static Bits Xor(Bits a, Bits b) { return _mm512_xor_si512(a, b); }
  static Bits AddBytes(Bits a, Bits b) { return _mm512_add_epi8(a, b); }
  static Bits AddWords(Bits a, Bits b) { return _mm512_add_epi32(a, b); }

  // The third argument of the instruction is the table of a function of three bits.
  static void Add(Bits* sum, Bits a, Bits b, Bits* carry) {
    *carry = _mm512_ternarylogic_epi32(*sum, a, b, 0xE8);
    *sum = _mm512_ternarylogic_epi32(*sum, a, b, 0x96);
  }

  static Bits CountBytes(Bits bits) {
    const Bits counts =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const Bits nibble = _mm512_set1_epi8(15);
    const Bits low = _mm512_and_si512(bits, nibble);
    const Bits high = _mm512_and_si512(_mm512_srli_epi32(bits, 4), nibble);
    return _mm512_add_epi8(_mm512_shuffle_epi8(counts, low), _mm512_shuffle_epi8(counts, high));
  }

  static Bits SumBytes(Bits bytes) {
    const Bits pairs = _mm512_maddubs_epi16(bytes, _mm512_set1_epi8(1));
    return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
  }
};

void Convolve(const Tile& tile) { ConvolveTile<ByteCounter<Vector, 6>>(tile); }

}  // namespace

const Kernel kAvx512 = {"avx512", Vector::kWords, 1, 6, Convolve, PackSigns};

}  // namespace larq_reactnet_runtime
