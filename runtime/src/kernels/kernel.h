// The one interface between a binary convolution and its code for some instruction set.
//
// A convolution is a product of two matrices of bits. A row of one is a *patch*: the words of the
// input under the window of an output pixel. A row of the other is a filter. Filters come in
// blocks: for each step the words of all filters of the block, side by side, so that one vector
// register holds the same words of many filters and counts need no sums across a register.
#pragma once

#include <cstddef>
#include <cstdint>

namespace larq_reactnet_runtime {

// kJoined: after the fused float operators, write floats, their signs, or both. See epilogue.h.
enum class Output { kFloat, kInt8, kBits, kJoined };

// What float operators behind a convolution do. They are run in the order of the slots, each of
// which has one operator or none.
enum class Stage { kAddConstant, kAddTensor, kPrelu };
inline constexpr Stage kSlots[] = {Stage::kAddConstant, Stage::kAddTensor,   Stage::kAddConstant,
                                   Stage::kPrelu,       Stage::kAddConstant, Stage::kAddTensor,
                                   Stage::kAddConstant};
inline constexpr int kSlotCount = sizeof(kSlots) / sizeof(kSlots[0]);

// The slots of ReActNet: add the shortcut, PRELU, add a constant.
inline constexpr int kShortcutSlot = 1, kPreluSlot = 3, kShiftSlot = 4;
static_assert(kSlots[kShortcutSlot] == Stage::kAddTensor);
static_assert(kSlots[kPreluSlot] == Stage::kPrelu);
static_assert(kSlots[kShiftSlot] == Stage::kAddConstant);

// The set of them, as bits.
inline constexpr int kReactnetSlots = 1 << kShortcutSlot | 1 << kPreluSlot | 1 << kShiftSlot;

// How a doubled count of unequal bits becomes an output: see epilogue.h. The arrays have a value
// for each filter of each block, also for those that only fill up the last block.
struct Epilogue {
  Output output = Output::kFloat;
  int32_t lowest = 0, highest = 0;
  bool is_clamped = true;  // if not, all doubled counts are between the two anyway
  const float* multiplier = nullptr;
  const float* bias = nullptr;
  const int32_t* thresholds = nullptr;
  int slots = 0;                            // those in which there is an operator
  const float* constants[kSlotCount] = {};  // summands and slopes
};

// What a kernel computes in one call: some output pixels, for one block of filters.
struct Tile {
  int pixels = 0;
  const uint32_t* patches = nullptr;
  size_t patch_stride = 0;  // in words
  const uint32_t* filters = nullptr;
  int steps = 0;

  const Epilogue* epilogue = nullptr;
  size_t block = 0;  // where the first filter of the block is in the arrays of `epilogue`
  // For each pixel an array, of the form of those in `epilogue`, of what is added to the doubled
  // counts because of padding. Null if nothing is.
  const int32_t* const* corrections = nullptr;

  void* output = nullptr;    // of the first pixel
  size_t output_stride = 0;  // from one pixel to the next, in floats, bytes or words
  int channel = 0;           // the output channel of the first filter
  int channels = 0;          // how many of the block's filters are output channels

  // The fields below are for Output::kJoined, with which `output` may be null. A tensor that is
  // added may have fewer channels than the output: after its last channel it starts again with the
  // first.
  const float* added[kSlotCount] = {};   // of the first pixel
  size_t added_stride[kSlotCount] = {};  // the number of its channels
  uint32_t* signs = nullptr;
  size_t signs_stride = 0;
};

// Each kernel sets its fields by their names, and then says static_assert(IsComplete(...)).
struct Kernel {
  const char* name = nullptr;
  int filters = 0;  // of a block
  int words = 0;    // of a step
  int pixels = 0;   // computed at once
  void (*convolve)(const Tile& tile) = nullptr;
  // Null in a kernel that is only there as the `wide` of another one.
  void (*pack_signs)(const float* values, size_t count, uint32_t* words) = nullptr;
  // Puts the words of all filters of a block, for one step, in the order in which `convolve` reads
  // them. Null if they are in that order already.
  void (*arrange)(uint32_t* words) = nullptr;
  // If patches and filters have at least this number of steps, `convolve` reads them as `prepare`
  // has changed them. It is called once for all words of a patch or of a filter.
  int prepared_steps = 0;
  void (*prepare)(uint32_t* row, int steps, bool is_filter) = nullptr;
  // Another kernel, which is used instead for patches of `least_wide` to `most_wide` words.
  const Kernel* wide = nullptr;
  int least_wide = 0, most_wide = 0;
};

// Does a kernel have all that each needs, and of what belongs together both or nothing?
constexpr bool IsComplete(const Kernel& kernel) {
  return kernel.name != nullptr && kernel.filters > 0 && kernel.words > 0 && kernel.pixels > 0 &&
         kernel.convolve != nullptr && (kernel.prepare != nullptr) == (kernel.prepared_steps > 0) &&
         (kernel.wide != nullptr) == (kernel.most_wide > 0) &&
         kernel.least_wide <= kernel.most_wide;
}

extern const Kernel kPortable;
extern const Kernel kAvx2;
extern const Kernel kAvx512;
extern const Kernel kAvx512Vpopcntdq;
extern const Kernel kNeon;
extern const Kernel kNeonWide;

}  // namespace larq_reactnet_runtime
