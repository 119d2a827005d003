// Copies what is under the window of a convolution.
#include "ops/patches.h"

#include <algorithm>
#include <cstring>

namespace larq_reactnet_runtime {
namespace {

// Rows of a patch are so short that calls of memcpy would take longer than the copying itself.
inline void CopyWords(const uint32_t* from, size_t count, uint32_t* to) {
  constexpr size_t kAtOnce = 4;
  for (; count >= kAtOnce; count -= kAtOnce, from += kAtOnce, to += kAtOnce) {
    std::memcpy(to, from, kAtOnce * sizeof(uint32_t));
  }
  if ((count & 2) != 0) std::memcpy(to, from, 2 * sizeof(uint32_t));
  if ((count & 1) != 0) to[count - 1] = from[count - 1];
}

}  // namespace

void Patches::Prepare(const Axis& rows, const Axis& columns, size_t input_words,
                      const Filters& filters, const Kernel& kernel) {
  filters_ = &filters;
  kernel_ = &kernel;
  rows_ = rows;
  columns_ = columns;
  input_words_ = input_words;
  row_words_ = static_cast<size_t>(filters.width()) * static_cast<size_t>(filters.words());
  is_input_ = rows.window == 1 && columns.window == 1 && rows.stride == 1 && columns.stride == 1 &&
              filters.words() % kernel.words == 0 && !filters.is_prepared();
  stride_ = is_input_ ? input_words
                      : static_cast<size_t>(filters.steps()) * static_cast<size_t>(kernel.words);
  FindInner();
}

void Patches::FindInner() {
  const bool is_whole =
      columns_.dilation == 1 && filters_->words() == static_cast<int>(input_words_);
  inner_first_ = columns_.output;
  inner_last_ = columns_.output;
  if (!is_whole && columns_.window != 1) return;
  while (inner_first_ > 0 && columns_.First(inner_first_ - 1) == 0) --inner_first_;
  while (inner_last_ > 0 && columns_.Last(inner_last_ - 1) < columns_.window) --inner_last_;
  inner_last_ = std::max(inner_first_, inner_last_);
}

const uint32_t* Patches::At(const uint32_t* input, int64_t first, int pixels, int group,
                            uint32_t* memory) const {
  input += static_cast<size_t>(group) * static_cast<size_t>(filters_->words());
  if (is_input_) return input + static_cast<size_t>(first) * input_words_;
  Gather(input, first, pixels, memory);
  if (filters_->is_prepared()) Change(pixels, memory);
  return memory;
}

// Lets the kernel prepare patches. For those that were in this memory before, it has also changed
// the words behind the end of a patch, which have to be 0.
void Patches::Change(int pixels, uint32_t* patches) const {
  const size_t words = static_cast<size_t>(filters_->patch_words());
  for (int pixel = 0; pixel < pixels; ++pixel, patches += stride_) {
    for (size_t i = words; i < stride_; ++i) patches[i] = 0;
    kernel_->prepare(patches, filters_->steps(), false);
  }
}

// Copies what is under the windows of some output pixels, with zero bits outside the image.
void Patches::Gather(const uint32_t* input, int64_t first, int pixels, uint32_t* patches) const {
  while (pixels > 0) {
    const int x = static_cast<int>(first % columns_.output);
    const int y = static_cast<int>(first / columns_.output % rows_.output);
    const int64_t image = first / columns_.output / rows_.output;
    const int count = std::min(pixels, columns_.output - x);
    for (int i = 0; i < filters_->height(); ++i) {
      uint32_t* rows = patches + static_cast<size_t>(i) * row_words_;
      if (i < rows_.First(y) || i >= rows_.Last(y)) {
        for (int pixel = 0; pixel < count; ++pixel, rows += stride_) {
          std::memset(rows, 0, row_words_ * sizeof(uint32_t));
        }
      } else {
        const int64_t line = image * rows_.input + rows_.Start(y) + int64_t{i} * rows_.dilation;
        GatherRows(input + static_cast<size_t>(line * columns_.input) * input_words_, x, x + count,
                   rows);
      }
    }
    patches += static_cast<size_t>(count) * stride_;
    first += count;
    pixels -= count;
  }
}

// Copies one row of the window for some output pixels that lie side by side.
void Patches::GatherRows(const uint32_t* line, int x, int end, uint32_t* row) const {
  for (; x < end; ++x, row += stride_) {
    if (x >= inner_first_ && x < inner_last_) {
      const int last = std::min(end, inner_last_);
      const size_t step = static_cast<size_t>(columns_.stride) * input_words_;
      const uint32_t* from = line + static_cast<size_t>(columns_.Start(x)) * input_words_;
      for (; x < last; ++x, from += step, row += stride_) CopyWords(from, row_words_, row);
      if (x == end) return;
    }
    GatherRow(line, x, row);
  }
}

// The same for one output pixel, also at the border.
void Patches::GatherRow(const uint32_t* line, int x, uint32_t* row) const {
  const size_t words = static_cast<size_t>(filters_->words());
  const int first = columns_.First(x), last = columns_.Last(x);
  for (int j = 0; j < columns_.window; ++j, row += words) {
    if (j < first || j >= last) {
      std::memset(row, 0, words * sizeof(uint32_t));
    } else {
      const int64_t pixel = columns_.Start(x) + int64_t{j} * columns_.dilation;
      CopyWords(line + static_cast<size_t>(pixel) * input_words_, words, row);
    }
  }
}

}  // namespace larq_reactnet_runtime
