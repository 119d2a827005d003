// Counts bits where no instruction does it for whole words: bytes are counted with a table, and
// words are added up as bits before that. Compiled for each kernel that includes it.
//
// Three words of bits add up to two: one with the sum of each bit, one with the carry, which is
// worth twice as much. So of four words only one has to be counted ("Harley-Seal").
#pragma once

#include "tiles.h"

namespace larq_reactnet_runtime {
namespace {

// `Vector` is a register of `Vector::kWords` words, and what can be done with it.
template <class Vector, int kPixelsAtOnce>
struct ByteCounter {
  using Bits = typename Vector::Bits;
  using Lanes = typename Vector::Lanes;

  static constexpr int kRegisters = 1;
  static constexpr int kFilters = Vector::kWords;
  static constexpr int kPixels = kPixelsAtOnce;

  // A byte of fours grows by at most 8 per round, and must stay below 256.
  static constexpr int kMostRounds = 31;

  template <int kPatches>
  static void Count(const uint32_t* patches, size_t stride, const uint32_t* filters, int steps,
                    typename Lanes::Ints (*counts)[kRegisters]) {
    Bits ones[kPatches], twos[kPatches], totals[kPatches];
    for (int i = 0; i < kPatches; ++i) ones[i] = twos[i] = totals[i] = Vector::Zero();
    int rounds = steps / 4;
    while (rounds > 0) {
      const int most = rounds < kMostRounds ? rounds : kMostRounds;
      rounds -= most;
      Bits fours[kPatches];
      for (int i = 0; i < kPatches; ++i) fours[i] = Vector::Zero();
      for (int round = 0; round < most; ++round) {
        for (int i = 0; i < kPatches; ++i) {
          const uint32_t* words = patches + static_cast<size_t>(i) * stride;
          Bits first_twos, second_twos, new_fours;
          Vector::Add(&ones[i], Unequal(filters, words, 0), Unequal(filters, words, 1),
                      &first_twos);
          Vector::Add(&ones[i], Unequal(filters, words, 2), Unequal(filters, words, 3),
                      &second_twos);
          Vector::Add(&twos[i], first_twos, second_twos, &new_fours);
          fours[i] = Vector::AddBytes(fours[i], Vector::CountBytes(new_fours));
        }
        filters += 4 * kFilters;
        patches += 4;
      }
      for (int i = 0; i < kPatches; ++i) {
        totals[i] = Vector::AddWords(totals[i], Vector::SumBytes(fours[i]));
      }
    }
    for (int i = 0; i < kPatches; ++i) {
      // Up to three more words, and what has not become a carry: a byte of these is below 64.
      const uint32_t* words = patches + static_cast<size_t>(i) * stride;
      Bits rest = Vector::Zero();
      if (steps >= 4) {
        rest = Vector::CountBytes(twos[i]);
        rest = Vector::AddBytes(Vector::AddBytes(rest, rest), Vector::CountBytes(ones[i]));
      }
      for (int step = 0; step < steps % 4; ++step) {
        rest = Vector::AddBytes(rest, Vector::CountBytes(Unequal(filters, words, step)));
      }
      Bits total = Vector::AddWords(totals[i], totals[i]);
      total = Vector::AddWords(total, total);
      counts[i][0] =
          reinterpret_cast<typename Lanes::Ints>(Vector::AddWords(total, Vector::SumBytes(rest)));
    }
  }

  static Bits Unequal(const uint32_t* filters, const uint32_t* words, int step) {
    return Vector::Xor(Vector::Load(filters + step * kFilters), Vector::Repeat(words[step]));
  }
};

}  // namespace
}  // namespace larq_reactnet_runtime
