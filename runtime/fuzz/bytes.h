// Reads the bytes that a fuzzer gives as numbers. Behind their end it reads zeros, so that each
// input is valid, however short it is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace larq_reactnet_runtime::fuzz {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t Byte() { return place_ < size_ ? data_[place_++] : 0; }

  uint32_t Word() {
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word |= uint32_t{Byte()} << (8 * i);
    return word;
  }

  // A number from 0 up to but not including `count`, which is from 1 to 256.
  int Below(size_t count) { return Byte() % static_cast<int>(count); }

  template <class Value, size_t kCount>
  Value Of(const Value (&values)[kCount]) {
    return values[Below(kCount)];
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t place_ = 0;
};

}  // namespace larq_reactnet_runtime::fuzz
