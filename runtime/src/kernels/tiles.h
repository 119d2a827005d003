// Walks over the pixels of a tile, and computes as many at once as registers can hold. Each kernel
// compiles this for its instruction set.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernel.h"

namespace larq_reactnet_runtime {
namespace {

// The epilogue is run for one part of a tile after the other: at most 32 filters, whose signs are a
// word.
template <class Counter>
struct Parts {
  static constexpr int kCount = (Counter::kFilters + 31) / 32;
  static constexpr int kRegisters = Counter::kRegisters / kCount;
  static constexpr int kFilters = Counter::kFilters / kCount;

  // They are copies, so that the compiler sees that no output is written over them.
  explicit Parts(const Tile& tile) {
    for (int i = 0; i < kCount; ++i) {
      tiles[i] = tile;
      tiles[i].block += static_cast<size_t>(i) * kFilters;
      tiles[i].channel += i * kFilters;
      const int channels = tile.channels - i * kFilters;
      tiles[i].channels = channels < kFilters ? channels : kFilters;
      for (int slot = 0; slot < kSlotCount; ++slot) {
        if (tile.added[slot] == nullptr) continue;
        tiles[i].added[slot] += static_cast<size_t>(tiles[i].channel) % tile.added_stride[slot];
      }
    }
  }

  Tile tiles[kCount];
};

// `Counter::Count<kPatches>(patches, stride, filters, steps, counts)` counts the unequal bits
// between `kPatches` patches and `Counter::kFilters` filters. The counts of a patch are
// `Counter::kRegisters` registers of `Counter::Lanes`.
template <class Counter, int kPixels, Output kOutput, int kMask>
[[gnu::always_inline]] inline int ConvolvePixels(const Parts<Counter>& parts,
                                                 const Epilogue& epilogue, int pixel) {
  using Lanes = typename Counter::Lanes;
  constexpr int kRegisters = Parts<Counter>::kRegisters;
  const Tile& tile = parts.tiles[0];
  for (; pixel + kPixels <= tile.pixels; pixel += kPixels) {
    Ints<Lanes> counts[kPixels][Counter::kRegisters];
    Counter::template Count<kPixels>(tile.patches + static_cast<size_t>(pixel) * tile.patch_stride,
                                     tile.patch_stride, tile.filters, tile.steps, counts);
    for (int i = 0; i < kPixels; ++i) {
      for (int part = 0; part < Parts<Counter>::kCount; ++part) {
        Finish<Lanes, kRegisters, kOutput, kMask>(parts.tiles[part], epilogue, pixel + i,
                                                  counts[i] + part * kRegisters);
      }
    }
  }
  return pixel;
}

template <class Counter, Output kOutput, int kMask = 0>
inline void ConvolveAs(const Tile& given) {
  const Parts<Counter> parts(given);
  const Epilogue epilogue = *given.epilogue;
  int pixel = ConvolvePixels<Counter, Counter::kPixels, kOutput, kMask>(parts, epilogue, 0);
  if constexpr (Counter::kPixels > 2) {
    pixel =
        ConvolvePixels<Counter, (Counter::kPixels + 1) / 2, kOutput, kMask>(parts, epilogue, pixel);
  }
  ConvolvePixels<Counter, 1, kOutput, kMask>(parts, epilogue, pixel);
}

// The kind of output is looked up here, once for a tile, and not for each pixel.
template <class Counter>
inline void ConvolveTile(const Tile& tile) {
  switch (tile.epilogue->output) {
    case Output::kFloat:
      return ConvolveAs<Counter, Output::kFloat>(tile);
    case Output::kInt8:
      return ConvolveAs<Counter, Output::kInt8>(tile);
    case Output::kBits:
      return ConvolveAs<Counter, Output::kBits>(tile);
    case Output::kJoined:
      if (tile.epilogue->slots == kReactnetSlots) {
        return ConvolveAs<Counter, Output::kJoined, kReactnetSlots>(tile);
      }
      return ConvolveAs<Counter, Output::kJoined, kAllSlots>(tile);
  }
}

}  // namespace
}  // namespace larq_reactnet_runtime
