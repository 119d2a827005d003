// Binary convolution with AVX2, which has no instruction that counts bits: tables count four at a
// time.
//
// The instruction that shuffles bytes is a table of 16 entries that is read for every byte of a
// register at once. Here each byte is four bits of a filter, and the table belongs to four bits of
// a patch: it says for all values of the byte how many bits differ. So one instruction compares and
// counts.
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

// For each value of a byte of a patch, the table of its lower half and that of its upper half.
struct Tables {
  alignas(32) uint8_t entries[256][2][16];

  constexpr Tables() : entries() {
    for (int byte = 0; byte < 256; ++byte) {
      for (int bits = 0; bits < 16; ++bits) {
        entries[byte][0][bits] = CountBits((byte & 15) ^ bits);
        entries[byte][1][bits] = CountBits((byte >> 4) ^ bits);
      }
    }
  }

  static constexpr uint8_t CountBits(int bits) {
    return static_cast<uint8_t>((bits & 1) + (bits >> 1 & 1) + (bits >> 2 & 1) + (bits >> 3));
  }
};

constexpr Tables kTables;
constexpr int kTablesShift = 5;  // a byte's two tables have 32 bytes

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

// Finds where the tables for the bytes of a patch are, for up to 8 words.
void FindTables(const uint32_t* words, int count, uint16_t* places) {
  const __m256i order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i is_there = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), order);
  const __m256i bytes = _mm256_maskload_epi32(reinterpret_cast<const int*>(words), is_there);
  const __m256i first = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes));
  const __m256i second = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes, 1));
  auto* to = reinterpret_cast<__m256i*>(places);
  _mm256_store_si256(to, _mm256_slli_epi16(first, kTablesShift));
  _mm256_store_si256(to + 1, _mm256_slli_epi16(second, kTablesShift));
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
        __m256i bytes[kPatches][kVectors];
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
  template <int kPatches>
  [[gnu::always_inline]] static inline void CountBytes(const uint32_t* patches, size_t stride,
                                                       const uint32_t* filters, int steps,
                                                       __m256i (*bytes)[kVectors]) {
    alignas(32) uint16_t places[kPatches][32];
    for (int i = 0; i < kPatches; ++i) {
      FindTables(patches + static_cast<size_t>(i) * stride, steps, places[i]);
      for (int j = 0; j < kVectors; ++j) bytes[i][j] = _mm256_setzero_si256();
    }
    const __m256i four_bits = _mm256_set1_epi8(15);
    const auto* tables = reinterpret_cast<const char*>(kTables.entries);
    for (int byte = 0; byte < 4 * steps; ++byte) {
      __m256i low[kVectors], high[kVectors];
      for (int j = 0; j < kVectors; ++j) {
        const __m256i bits = LoadBits(filters + j * kWide / 4);
        low[j] = _mm256_and_si256(bits, four_bits);
        high[j] = _mm256_and_si256(_mm256_srli_epi16(bits, 4), four_bits);
      }
      for (int i = 0; i < kPatches; ++i) {
        const __m256i low_table = LoadTable(tables + places[i][byte]);
        const __m256i high_table = LoadTable(tables + places[i][byte] + 16);
        for (int j = 0; j < kVectors; ++j) {
          bytes[i][j] = _mm256_add_epi8(bytes[i][j], _mm256_shuffle_epi8(low_table, low[j]));
          bytes[i][j] = _mm256_add_epi8(bytes[i][j], _mm256_shuffle_epi8(high_table, high[j]));
        }
      }
      filters += kBlock / 4;
    }
  }

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
