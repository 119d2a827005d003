// Binary convolution with NEON for long patches: registers hold 128 bits of one filter or patch.
//
// From two words x and y, and s that is left over from before, a full adder computes the parity
// s ^ x ^ y, which is the next s, and the carry: y where s ^ x is set, s elsewhere. The parity of
// the first k words of `filter ^ patch` is the parity of the first k words of the filter ^ that of
// the first k words of the patch. So `Prepare` replaces the words of each filter and of each patch
// by these running parities, once for all comparisons. Then a full adder takes two exclusive ors
// and one selection for two words, and only the carries, half as many words, have to be counted.
// That is five instructions for 256 bits, where counting all of them takes six.
#include "kernels/neon_tile.h"

namespace larq_reactnet_runtime {
namespace {

constexpr int kWords = 4;  // of a register

// Registers of a filter that two full adders take. If the number of registers is not a multiple,
// the first one starts the running parities, and the last ones are counted as they are.
constexpr int kGroup = 4;
// With full adders there is more to add up at the end, so shorter patches are counted as they are.
constexpr int kMinSteps = 9;

// Sums of carries are signed bytes: they change by at most 8 per group.
constexpr int kMostGroups = 15;

inline int GroupsOf(int steps) {
  if (steps < kMinSteps) return 0;
  return steps / kGroup < kMostGroups ? steps / kGroup : kMostGroups;
}

inline bool HasFirst(int steps) { return steps % kGroup != 0; }

// Counts the bits of a carry, if q is the complement of the new parity and `before` the old parity.
// If q is the new parity and `before` the complement of the old one, it counts those of the
// complement of the carry. So only every other parity has to be complemented, and these counts are
// subtracted.
inline int8x16_t CountCarries(uint32x4_t middle, uint32x4_t q, uint32x4_t before) {
  return vcntq_s8(vreinterpretq_s8_u32(Select(middle, q, before)));
}

inline uint8x16_t CountUnequal(uint32x4_t a, uint32x4_t b) {
  return vcntq_u8(vreinterpretq_u8_u32(veorq_u32(a, b)));
}

struct Counter {
  using Lanes = Lanes4;
  static constexpr int kRegisters = kBlockRegisters;
  static constexpr int kFilters = kBlock;
  static constexpr int kPixels = kWidePixels;

  static constexpr size_t kStep = kFilters * kWords;

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    Lanes::Ints (*counts)[kRegisters]) {
    uint16x8_t sums[kPatches];
    CountAll<kPatches>(patches, stride, filters, steps, sums);
    for (int i = 0; i < kPatches; ++i) {
      counts[i][0] = reinterpret_cast<Lanes::Ints>(vmovl_u16(vget_low_u16(sums[i])));
      counts[i][1] = reinterpret_cast<Lanes::Ints>(vmovl_u16(vget_high_u16(sums[i])));
    }
  }

  template <int kPatches>
  [[gnu::always_inline]] static inline void CountDoubled(const uint32_t* patches, size_t stride,
                                                         const uint32_t* filters, int steps,
                                                         int32x4_t (*doubled)[kRegisters]) {
    uint16x8_t sums[kPatches];
    CountAll<kPatches>(patches, stride, filters, steps, sums);
    for (int i = 0; i < kPatches; ++i) {
      doubled[i][0] = vreinterpretq_s32_u32(vshll_n_u16(vget_low_u16(sums[i]), 1));
      doubled[i][1] = vreinterpretq_s32_u32(vshll_n_u16(vget_high_u16(sums[i]), 1));
    }
  }

 private:
  // Counts of eight filters.
  template <int kPatches>
  [[gnu::always_inline]] static inline void CountAll(const uint32_t* patches, size_t stride,
                                                     const uint32_t* filters, int steps,
                                                     uint16x8_t* sums) {
    if (steps < kMinSteps) {
      uint16x8_t halves[2][kPatches];
      for (int half = 0; half < 2; ++half) {
        CountSteps<kPatches>(patches, stride, filters + half * 4 * kWords, steps, halves[half]);
      }
      for (int i = 0; i < kPatches; ++i) sums[i] = AddPairs(halves[0][i], halves[1][i]);
      return;
    }
    uint16x8_t pairs[4][kPatches];
    for (int pair = 0; pair < 4; ++pair) {
      CountPair<kPatches>(patches, stride, filters + pair * 2 * kWords, steps, pairs[pair]);
    }
    // Every second full adder has counted the complement of its carry, which is 8 minus the count
    // in each of 16 bytes; carries count twice.
    const uint16x8_t rest = vdupq_n_u16(static_cast<uint16_t>(2 * 8 * 16 * GroupsOf(steps)));
    for (int i = 0; i < kPatches; ++i) {
      const uint16x8_t low = AddPairs(pairs[0][i], pairs[1][i]);
      sums[i] = vaddq_u16(AddPairs(low, AddPairs(pairs[2][i], pairs[3][i])), rest);
    }
  }

  // For each patch, two sums for each of four filters. There are fewer than kMinSteps steps.
  template <int kPatches>
  [[gnu::always_inline]] static inline void CountSteps(const uint32_t* patches, size_t stride,
                                                       const uint32_t* filters, int steps,
                                                       uint16x8_t* sums) {
    uint8x16_t bytes[kPatches][4];
    for (int j = 0; j < 4; ++j) {
      const uint32x4_t filter = vld1q_u32(filters + j * kWords);
      for (int i = 0; i < kPatches; ++i) {
        bytes[i][j] = CountUnequal(filter, PatchAt(patches, stride, i));
      }
    }
    for (int step = 1; step < steps; ++step) {
      filters += kStep;
      patches += kWords;
      uint32x4_t four[4];
      for (int j = 0; j < 4; ++j) four[j] = vld1q_u32(filters + j * kWords);
      for (int i = 0; i < kPatches; ++i) {
        const uint32x4_t patch = PatchAt(patches, stride, i);
        for (int j = 0; j < 4; ++j) {
          bytes[i][j] = vaddq_u8(bytes[i][j], CountUnequal(four[j], patch));
        }
      }
    }
    for (int i = 0; i < kPatches; ++i) {
      // A byte is at most 8 * 8 here: a byte can hold the sum of two, but not of four.
      sums[i] = AddPairs(vpaddlq_u8(AddPairs(bytes[i][0], bytes[i][1])),
                           vpaddlq_u8(AddPairs(bytes[i][2], bytes[i][3])));
    }
  }

  static uint32x4_t PatchAt(const uint32_t* patches, size_t stride, int i) {
    return vld1q_u32(patches + static_cast<size_t>(i) * stride);
  }

  // For each patch, four sums for each of two filters.
  template <int kPatches>
  [[gnu::always_inline]] static inline void CountPair(const uint32_t* patches, size_t stride,
                                                      const uint32_t* filters, int steps,
                                                      uint16x8_t* sums) {
    uint32x4_t parity[kPatches][2];
    const uint32_t* ends[kPatches];
    for (int i = 0; i < kPatches; ++i) {
      parity[i][0] = parity[i][1] = vdupq_n_u32(0);
      ends[i] = patches + static_cast<size_t>(i) * stride;
    }
    const int groups = GroupsOf(steps);
    int rest = steps - groups * kGroup;
    if (HasFirst(steps)) {
      for (int i = 0; i < kPatches; ++i) {
        const uint32x4_t patch = vld1q_u32(ends[i]);
        ends[i] += kWords;
        for (int j = 0; j < 2; ++j) {
          parity[i][j] = veorq_u32(patch, vld1q_u32(filters + j * kWords));
        }
      }
      filters += kStep;
      --rest;
    }
    int8x16_t carries[kPatches][2];
    CountGroup<kPatches, true>(filters, ends, parity, carries);
    filters += kGroup * kStep;
#pragma GCC unroll 2
    for (int group = 1; group < groups; ++group) {
      CountGroup<kPatches, false>(filters, ends, parity, carries);
      filters += kGroup * kStep;
    }
    uint8x16_t ones[kPatches][2];
    for (int i = 0; i < kPatches; ++i) {
      for (int j = 0; j < 2; ++j) ones[i][j] = vcntq_u8(vreinterpretq_u8_u32(parity[i][j]));
    }
    for (; rest > 0; --rest) {
      const uint32x4_t first = vld1q_u32(filters), second = vld1q_u32(filters + kWords);
      filters += kStep;
      for (int i = 0; i < kPatches; ++i) {
        const uint32x4_t patch = vld1q_u32(ends[i]);
        ends[i] += kWords;
        ones[i][0] = vaddq_u8(ones[i][0], CountUnequal(first, patch));
        ones[i][1] = vaddq_u8(ones[i][1], CountUnequal(second, patch));
      }
    }
    for (int i = 0; i < kPatches; ++i) {
      const int16x8_t twice = AddPairs(vpaddlq_s8(carries[i][0]), vpaddlq_s8(carries[i][1]));
      sums[i] = vpadalq_u8(vreinterpretq_u16_s16(vaddq_s16(twice, twice)),
                           AddPairs(ones[i][0], ones[i][1]));
    }
  }

  // Two full adders for each patch and each of two filters.
  template <int kPatches, bool kIsFirst>
  [[gnu::always_inline]] static inline void CountGroup(const uint32_t* filters,
                                                       const uint32_t** ends,
                                                       uint32x4_t (*parity)[2],
                                                       int8x16_t (*carries)[2]) {
    uint32x4_t four[kGroup][2];
    for (size_t k = 0; k < kGroup; ++k) {
      for (int j = 0; j < 2; ++j) four[k][j] = vld1q_u32(filters + k * kStep + j * kWords);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kPatches; ++i) {
      uint32x4_t words[kGroup];
      for (int k = 0; k < kGroup; ++k) words[k] = vld1q_u32(ends[i] + k * kWords);
      ends[i] += kGroup * kWords;
      for (int j = 0; j < 2; ++j) {
        const uint32x4_t q = veorq_u32(four[1][j], words[1]);
        const int8x16_t first = CountCarries(veorq_u32(four[0][j], words[0]), q, parity[i][j]);
        parity[i][j] = veorq_u32(four[3][j], words[3]);
        const int8x16_t second = CountCarries(veorq_u32(four[2][j], words[2]), parity[i][j], q);
        carries[i][j] = vsubq_s8(kIsFirst ? first : vaddq_s8(carries[i][j], first), second);
      }
      // Words of the next patch stay in memory until here: there are no registers for them.
      asm volatile("" : "+w"(carries[i][0]), "+w"(carries[i][1])::"memory");
    }
  }
};

void Convolve(const Tile& tile) { ConvolveNeon<Counter>(tile); }

// Replaces the registers of a row by their running parities. Those of filters are complemented
// where CountCarries needs it.
void Prepare(uint32_t* row, int steps, bool is_filter) {
  uint32x4_t parity = vdupq_n_u32(0);
  if (HasFirst(steps)) {
    parity = vld1q_u32(row);
    row += kWords;
  }
  for (int step = 0; step < GroupsOf(steps) * kGroup; ++step, row += kWords) {
    parity = veorq_u32(parity, vld1q_u32(row));
    vst1q_u32(row, is_filter && step % kGroup == 1 ? vmvnq_u32(parity) : parity);
  }
}

constexpr Kernel MakeNeonWide() {
  Kernel kernel;
  kernel.name = "neon";
  kernel.filters = kBlock;
  kernel.words = kWords;
  kernel.pixels = Counter::kPixels;
  kernel.convolve = Convolve;
  kernel.prepared_steps = kMinSteps;
  kernel.prepare = Prepare;
  return kernel;
}

}  // namespace

constexpr Kernel kNeonWide = MakeNeonWide();
static_assert(IsComplete(kNeonWide));

}  // namespace larq_reactnet_runtime
