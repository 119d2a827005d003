// Packs filters into blocks: for each step, the words of all filters of a block side by side.
#include "ops/filters.h"

#include <cstring>

namespace larq_reactnet_runtime {

Filters::Filters(const Tensor& filter, int groups, const Kernel& kernel)
    : kernel_(&kernel), source_(filter.constant), groups_(groups) {
  filters_of_group_ = filter.shape[0] / groups;
  height_ = filter.shape[1];
  width_ = filter.shape[2];
  words_ = filter.shape[3];
  blocks_of_group_ = (filters_of_group_ + kernel.filters - 1) / kernel.filters;
  steps_ = (patch_words() + kernel.words - 1) / kernel.words;
}

size_t Filters::PlaceOf(int filter) const {
  return static_cast<size_t>(filter / filters_of_group_) * BlockPlaces() +
         static_cast<size_t>(filter % filters_of_group_);
}

size_t Filters::PlaceOfBlock(int group, int block) const {
  return static_cast<size_t>(group) * BlockPlaces() +
         static_cast<size_t>(block) * static_cast<size_t>(kernel_->filters);
}

void Filters::Pack() {
  const size_t side_by_side = static_cast<size_t>(kernel_->filters);
  const size_t step_words = static_cast<size_t>(kernel_->words);
  const size_t patch = static_cast<size_t>(patch_words());
  packed_.Resize(uint64_t{places()} * static_cast<uint64_t>(steps_) * step_words);
  const size_t size = places() * static_cast<size_t>(steps_) * step_words;
  const size_t row_words = static_cast<size_t>(steps_) * step_words;
  Buffer<uint32_t> row;
  row.Resize(row_words);
  for (int filter = 0; filter < groups_ * filters_of_group_; ++filter) {
    const size_t place = PlaceOf(filter);
    uint32_t* block = packed_.data() + place / side_by_side * side_by_side *
                                           static_cast<size_t>(steps_) * step_words;
    std::memset(row.data(), 0, row_words * sizeof(uint32_t));
    std::memcpy(row.data(), Source(filter, 0), patch * sizeof(uint32_t));
    if (is_prepared()) kernel_->prepare(row.data(), steps_, true);
    for (size_t word = 0; word < row_words; ++word) {
      const size_t step = word / step_words, rest = word % step_words;
      block[(step * side_by_side + place % side_by_side) * step_words + rest] = row[word];
    }
  }
  if (kernel_->arrange == nullptr) return;
  const size_t step_size = side_by_side * step_words;
  for (size_t i = 0; i < size; i += step_size) kernel_->arrange(packed_.data() + i);
}

const uint32_t* Filters::BlockAt(int group, int block) const {
  return packed_.data() + PlaceOfBlock(group, block) * static_cast<size_t>(steps_) *
                              static_cast<size_t>(kernel_->words);
}

int Filters::CountBits(int filter, int pixel) const {
  int bits = 0;
  for (int word = 0; word < words_; ++word) {
    uint32_t value;
    std::memcpy(&value, Source(filter, pixel) + static_cast<size_t>(word) * sizeof(value),
                sizeof(value));
    bits += __builtin_popcount(value);
  }
  return bits;
}

const char* Filters::Source(int filter, int pixel) const {
  const size_t words = static_cast<size_t>(filter) * static_cast<size_t>(patch_words()) +
                       static_cast<size_t>(pixel) * static_cast<size_t>(words_);
  return static_cast<const char*>(source_) + words * sizeof(uint32_t);
}

}  // namespace larq_reactnet_runtime
