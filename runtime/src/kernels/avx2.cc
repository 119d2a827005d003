// Binary convolution with AVX2, which has no instruction that counts bits: tables count four at a
// time, of two output pixels at once.
//
// The instruction that shuffles bytes is a table of 16 entries that is read for every byte of a
// register at once. Here each byte is four bits of a filter, and the table belongs to four bits of
// a patch and four of the patch beside it. It says for all values of the byte how many bits differ
// from the first, and, 16 times as much, how many differ from the second. So one instruction
// compares and counts for two patches. Three such numbers, of at most 4 each, can be added up
// before the two counts have to be taken apart.
#include <immintrin.h>

#include "kernels/tiles.h"

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

// A table for each byte that has four bits of a patch in its lower half and four of another patch
// in its upper half.
struct Tables {
  alignas(16) uint8_t entries[256][16];

  constexpr Tables() : entries() {
    for (int byte = 0; byte < 256; ++byte) {
      for (int bits = 0; bits < 16; ++bits) {
        entries[byte][bits] = static_cast<uint8_t>(CountBits((byte & 15) ^ bits) +
                                                   16 * CountBits((byte >> 4) ^ bits));
      }
    }
  }

  static constexpr int CountBits(int bits) {
    return (bits & 1) + (bits >> 1 & 1) + (bits >> 2 & 1) + (bits >> 3);
  }
};

constexpr Tables kTables;
constexpr int kTablesShift = 4;  // a table has 16 bytes
constexpr int kNibbles = 8;      // of a word

// Filters come in blocks of 64: a byte of each filter, side by side. A register has eight lanes of
// four bytes. The first bytes of the lanes belong to the first eight filters, the second bytes to
// the next eight, and so on. So counts become 32-bit numbers without moving from one lane to
// another.
constexpr int kWide = 32;
constexpr int kBlock = 2 * kWide;

// Puts the words of a block's filters in order: first the lowest byte of each filter, then the
// next.
void Arrange(uint32_t* words) {
  constexpr int kLanes = Lanes8::kLanes;
  uint8_t bytes[4][kBlock];
  for (int filter = 0; filter < kBlock; ++filter) {
    const int start = filter / kWide * kWide;
    const int place = start + 4 * (filter % kLanes) + filter % kWide / kLanes;
    for (int byte = 0; byte < 4; ++byte) {
      bytes[byte][place] = static_cast<uint8_t>(words[filter] >> (8 * byte));
    }
  }
  std::memcpy(words, bytes, sizeof(bytes));
}

// Finds where the tables for two patches are, for up to 8 words of each: those for the lower and
// the upper half of the first byte, then those of the second byte, and so on.
inline void FindTables(const uint32_t* first, const uint32_t* second, int count, uint16_t* places) {
  const __m256i order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i is_there = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), order);
  const __m256i a = _mm256_maskload_epi32(reinterpret_cast<const int*>(first), is_there);
  const __m256i b = _mm256_maskload_epi32(reinterpret_cast<const int*>(second), is_there);
  const __m256i four_bits = _mm256_set1_epi8(15);
  const __m256i low = _mm256_or_si256(_mm256_and_si256(a, four_bits),
                                      _mm256_slli_epi16(_mm256_and_si256(b, four_bits), 4));
  const __m256i high = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a, 4), four_bits),
                                       _mm256_andnot_si256(four_bits, b));
  const __m256i even = _mm256_unpacklo_epi8(low, high);  // of words 0, 1, 4 and 5
  const __m256i odd = _mm256_unpackhi_epi8(low, high);   // of words 2, 3, 6 and 7
  const __m128i bytes[] = {_mm256_castsi256_si128(even), _mm256_castsi256_si128(odd),
                           _mm256_extracti128_si256(even, 1), _mm256_extracti128_si256(odd, 1)};
  for (int i = 0; i < 4; ++i) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(places) + i,
                       _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes[i]), kTablesShift));
  }
}

// Reads `kVectors` registers of a block: one if all filters of the second only fill the block up.
template <int kVectors>
struct Counter {
  using Lanes = Lanes8;
  using Ints = Lanes::Ints;

  static constexpr int kFilters = kVectors * kWide;
  static constexpr int kRegisters = kFilters / Lanes::kLanes;
  static constexpr int kPixels = 4;

  // A byte grows by at most 32 per step, and must stay below 256.
  static constexpr int kMostSteps = 7;
  // A sum of 16 bits grows by that, and must stay below 65536.
  static constexpr int kMostRounds = 65535 / (kMostSteps * 32);

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    Ints (*counts)[kRegisters]) {
    __m256i bytes[kPatches][kVectors];
    if (steps <= kMostSteps) {
      CountBytes<kPatches>(patches, stride, filters, steps, bytes);
      for (int i = 0; i < kPatches; ++i) {
        for (int j = 0; j < kVectors; ++j) {
          for (int k = 0; k < 4; ++k) {
            counts[i][4 * j + k] = reinterpret_cast<Ints>(bytes[i][j]) >> 8 * k & 0xFF;
          }
        }
      }
      return;
    }
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kRegisters; ++j) counts[i][j] = Ints{};
    }
    const __m256i bytes_of_pairs = _mm256_set1_epi16(255);
    while (steps > 0) {
      __m256i even[kPatches][kVectors], odd[kPatches][kVectors];  // sums of 16 bits
      for (int i = 0; i < kPatches; ++i) {
        for (int j = 0; j < kVectors; ++j) even[i][j] = odd[i][j] = _mm256_setzero_si256();
      }
      for (int round = 0; round < kMostRounds && steps > 0; ++round) {
        const int some = steps < kMostSteps ? steps : kMostSteps;
        CountBytes<kPatches>(patches, stride, filters, some, bytes);
        for (int i = 0; i < kPatches; ++i) {
          for (int j = 0; j < kVectors; ++j) {
            even[i][j] =
                _mm256_add_epi16(even[i][j], _mm256_and_si256(bytes[i][j], bytes_of_pairs));
            odd[i][j] = _mm256_add_epi16(odd[i][j], _mm256_srli_epi16(bytes[i][j], 8));
          }
        }
        steps -= some;
        patches += some;
        filters += some * kBlock;
      }
      for (int i = 0; i < kPatches; ++i) {
        for (int j = 0; j < kVectors; ++j) {
          const Ints first = reinterpret_cast<Ints>(even[i][j]);
          const Ints second = reinterpret_cast<Ints>(odd[i][j]);
          Ints* sums = counts[i] + 4 * j;
          sums[0] += first & 0xFFFF;
          sums[1] += second & 0xFFFF;
          sums[2] += first >> 16 & 0xFFFF;
          sums[3] += second >> 16 & 0xFFFF;
        }
      }
    }
  }

 private:
  // Sums for each pair of patches. In `low` each byte is the count of the first patch. In `shifted`
  // a register has numbers of 16 bits: those of the bytes of both counts, shifted by four bits to
  // the right.
  template <int kPairs>
  struct Sums {
    __m256i low[kPairs][kVectors], shifted[kPairs][kVectors];
  };

  // Counts in each byte the unequal bits of up to kMostSteps words.
  template <int kPatches>
  [[gnu::always_inline]] static inline void CountBytes(const uint32_t* patches, size_t stride,
                                                       const uint32_t* filters, int steps,
                                                       __m256i (*bytes)[kVectors]) {
    constexpr int kPairs = (kPatches + 1) / 2;
    alignas(32) uint16_t places[kPairs][(kMostSteps + 1) * kNibbles];
    Sums<kPairs> sums;
    for (int i = 0; i < kPairs; ++i) {
      const uint32_t* first = patches + static_cast<size_t>(2 * i) * stride;
      const bool is_pair = 2 * i + 1 < kPatches;
      FindTables(first, is_pair ? first + stride : first, steps, places[i]);
      for (int j = 0; j < kVectors; ++j) {
        sums.low[i][j] = sums.shifted[i][j] = _mm256_setzero_si256();
      }
    }
    for (int step = 0; step < steps; ++step, filters += kBlock) {
      AddNibbles<kPairs, 0, 3>(places, step, filters, &sums);
      AddNibbles<kPairs, 3, 3>(places, step, filters, &sums);
      AddNibbles<kPairs, 6, 2>(places, step, filters, &sums);
    }
    const __m256i odd_bytes = _mm256_set1_epi16(static_cast<int16_t>(0xFF00));
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < kVectors; ++j) {
        const __m256i low = sums.low[i / 2][j];
        // Of 16 bits, the count of the first patch in the upper byte is still 16 times in it.
        bytes[i][j] =
            i % 2 == 0 ? low
                       : _mm256_sub_epi16(sums.shifted[i / 2][j],
                                          _mm256_srli_epi16(_mm256_and_si256(low, odd_bytes), 4));
      }
    }
  }

  // Adds the counts for some nibbles of a word, at most 3.
  template <int kPairs, int kFirst, int kSome>
  [[gnu::always_inline]] static inline void AddNibbles(
      const uint16_t (*places)[(kMostSteps + 1) * kNibbles], int step, const uint32_t* filters,
      Sums<kPairs>* sums) {
    static_assert(kSome <= 3);  // 4 * 4 would not fit into four bits
    const __m256i four_bits = _mm256_set1_epi8(15);
    const auto* tables = reinterpret_cast<const char*>(kTables.entries);
    __m256i both[kPairs][kVectors];
#pragma GCC unroll 3
    for (int nibble = kFirst; nibble < kFirst + kSome; ++nibble) {
      __m256i bits[kVectors];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) {
        bits[j] = LoadBits(filters + nibble / 2 * kBlock / 4 + j * kWide / 4);
        if (nibble % 2 != 0) bits[j] = _mm256_srli_epi16(bits[j], 4);
        bits[j] = _mm256_and_si256(bits[j], four_bits);
      }
#pragma GCC unroll 2
      for (int i = 0; i < kPairs; ++i) {
        const __m256i table = LoadTable(tables + places[i][step * kNibbles + nibble]);
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) {
          const __m256i found = _mm256_shuffle_epi8(table, bits[j]);
          both[i][j] = nibble == kFirst ? found : _mm256_add_epi8(both[i][j], found);
          InThisOrder(&both[i][j]);
        }
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < kPairs; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) {
        __m256i *low = &sums->low[i][j], *shifted = &sums->shifted[i][j];
        *low = _mm256_add_epi8(*low, _mm256_and_si256(both[i][j], four_bits));
        *shifted = _mm256_add_epi16(*shifted, _mm256_srli_epi16(both[i][j], 4));
        InThisOrder(low);
        InThisOrder(shifted);
      }
    }
  }

  // Keeps the compiler from adding up in another order, which takes more registers than there are.
  static void InThisOrder(__m256i* sum) { asm("" : "+x"(*sum)); }

  static __m256i LoadBits(const uint32_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
  }
  static __m256i LoadTable(const char* table) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
  }
};

void Convolve(const Tile& tile) {
  if (tile.channels > kWide) return ConvolveTile<Counter<2>>(tile);
  ConvolveTile<Counter<1>>(tile);
}

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

constexpr Kernel MakeAvx2() {
  Kernel kernel;
  kernel.name = "avx2";
  kernel.filters = kBlock;
  kernel.words = 1;
  kernel.pixels = Counter<2>::kPixels;
  kernel.convolve = Convolve;
  kernel.pack_signs = PackSigns;
  kernel.arrange = Arrange;
  return kernel;
}

}  // namespace

constexpr Kernel kAvx2 = MakeAvx2();
static_assert(IsComplete(kAvx2));

}  // namespace larq_reactnet_runtime
