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

// Of kJoined, floats or their signs or both, after what float operators do that are joined to the
// convolution.
enum class Output { kFloat, kInt8, kBits, kJoined };

// Float operators behind a convolution, in the order of the slots: any may be missing.
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

// Sets of slots, as bits.
inline constexpr int kAllSlots = (1 << kSlotCount) - 1;
inline constexpr int kReactnetSlots = 1 << kShortcutSlot | 1 << kPreluSlot | 1 << kShiftSlot;

// From a doubled count of unequal bits to an output. Arrays have a value for each filter of each
// block, also for those that only fill up the last block.
struct Epilogue {
  Output output = Output::kFloat;
  int32_t lowest = 0, highest = 0;
  bool is_clamped = true;  // else all doubled counts are between the two
  const float* multiplier = nullptr;
  const float* bias = nullptr;
  const int32_t* thresholds = nullptr;
  int slots = 0;                            // those in which there is an operator
  const float* constants[kSlotCount] = {};  // summands and slopes
};

// Some output pixels and one block of filters.
struct Tile {
  int pixels = 0;
  const uint32_t* patches = nullptr;
  size_t patch_stride = 0;  // in words
  const uint32_t* filters = nullptr;
  int steps = 0;

  const Epilogue* epilogue = nullptr;
  size_t block = 0;  // the first filter of the block, in the arrays of `epilogue`
  // For each pixel what padding adds to the doubled counts, an array as in `epilogue`; or null.
  const int32_t* const* corrections = nullptr;

  void* output = nullptr;    // of the first pixel
  size_t output_stride = 0;  // from one pixel to the next, in floats, bytes or words
  int channel = 0;           // the output channel of the first filter
  int channels = 0;          // how many of the block's filters are output channels

  // Of Output::kJoined, where `output` may be null. What is added may have fewer channels than the
  // output, which start again after the last one.
  const float* added[kSlotCount] = {};   // of the first pixel
  size_t added_stride[kSlotCount] = {};  // how many channels it has
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
  // Puts the words of all filters of a block, for one step, in the order in which `convolve` wants
  // them; null if they are.
  void (*arrange)(uint32_t* words) = nullptr;
  // Patches and filters of so many steps or more are not read as they are, but as `prepare` changes
  // them: each of the words of a row, once.
  int prepared_steps = 0;
  void (*prepare)(uint32_t* row, int steps, bool is_filter) = nullptr;
  // Another kernel, for patches of at least and at most so many words.
  const Kernel* wide = nullptr;
  int least_wide = 0, most_wide = 0;
};

// Does a kernel have all that each needs, and of what belongs together both or nothing?
constexpr bool IsComplete(const Kernel& kernel) {
  return kernel.name != nullptr && kernel.filters > 0 && kernel.words > 0 && kernel.pixels > 0 &&
         kernel.convolve != nullptr &&
         (kernel.prepare != nullptr) == (kernel.prepared_steps > 0) &&
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
