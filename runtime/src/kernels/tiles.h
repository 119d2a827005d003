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

// How the counts of a pixel become outputs. See epilogue.h.
template <Output kOutput>
struct Any {
  template <class Lanes, int kRegisters>
  [[gnu::always_inline]] static inline void Run(const Tile& tile, const Epilogue& epilogue,
                                                int pixel, const Ints<Lanes>* counts) {
    Finish<Lanes, kRegisters, kOutput>(tile, epilogue, pixel, counts);
  }
};

template <bool kIsCorrected>
struct Reactnet {
  template <class Lanes, int kRegisters>
  [[gnu::always_inline]] static inline void Run(const Tile& tile, const Epilogue& epilogue,
                                                int pixel, const Ints<Lanes>* counts) {
    FinishReactnet<Lanes, kRegisters, kIsCorrected>(tile, epilogue, pixel, counts);
  }
};

// `Counter::Count<kPatches>(patches, stride, filters, steps, counts)` counts the unequal bits
// between `kPatches` patches and `Counter::kFilters` filters. The counts of a patch are
// `Counter::kRegisters` registers of `Counter::Lanes`.
template <class Counter, int kPixels, class Ending>
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
        Ending::template Run<Lanes, kRegisters>(parts.tiles[part], epilogue, pixel + i,
                                                counts[i] + part * kRegisters);
      }
    }
  }
  return pixel;
}

template <class Counter, class Ending>
inline void ConvolveAs(const Tile& given) {
  const Parts<Counter> parts(given);
  const Epilogue epilogue = *given.epilogue;
  int pixel = ConvolvePixels<Counter, Counter::kPixels, Ending>(parts, epilogue, 0);
  if constexpr (Counter::kPixels > 2) {
    pixel = ConvolvePixels<Counter, (Counter::kPixels + 1) / 2, Ending>(parts, epilogue, pixel);
  }
  ConvolvePixels<Counter, 1, Ending>(parts, epilogue, pixel);
}

// The kind of output is looked up here, once for a tile, and not for each pixel.
template <class Counter>
inline void ConvolveTile(const Tile& tile) {
  switch (tile.epilogue->output) {
    case Output::kFloat:
      return ConvolveAs<Counter, Any<Output::kFloat>>(tile);
    case Output::kInt8:
      return ConvolveAs<Counter, Any<Output::kInt8>>(tile);
    case Output::kBits:
      return ConvolveAs<Counter, Any<Output::kBits>>(tile);
    case Output::kJoined:
      if (!IsReactnet(tile, Counter::kFilters)) {
        return ConvolveAs<Counter, Any<Output::kJoined>>(tile);
      }
      if (tile.corrections != nullptr) return ConvolveAs<Counter, Reactnet<true>>(tile);
      return ConvolveAs<Counter, Reactnet<false>>(tile);
  }
}

}  // namespace
}  // namespace larq_reactnet_runtime
