// Signs as bits, on any processor.
#include "base/bits.h"

namespace larq_reactnet_runtime {
namespace {

template <class IsNegative>
void Pack(size_t count, uint32_t* words, IsNegative is_negative) {
  for (size_t first = 0; first < count; first += 32) {
    const size_t bits = count - first < 32 ? count - first : 32;
    uint32_t word = 0;
    for (size_t i = 0; i < bits; ++i) word |= uint32_t{is_negative(first + i)} << i;
    *words++ = word;
  }
}

}  // namespace

void PackSigns(const float* values, size_t count, uint32_t* words) {
  Pack(count, words, [values](size_t i) { return values[i] < 0; });
}

void PackSigns(const int8_t* values, size_t count, int zero_point, uint32_t* words) {
  Pack(count, words, [values, zero_point](size_t i) { return values[i] < zero_point; });
}

}  // namespace larq_reactnet_runtime
