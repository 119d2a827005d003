// Reads the options of an operator, which are a flexbuffer: a map from names to integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace larq_reactnet_runtime {

// Looks up integers in bytes of a file, which may be anything. A value that is not an integer, or
// that would lie outside the bytes, is not found.
class FlexbufferMap {
 public:
  FlexbufferMap(const void* bytes, size_t size);

  std::optional<int64_t> Integer(std::string_view name) const;

 private:
  std::optional<uint64_t> Unsigned(uint64_t position, uint64_t width) const;
  std::optional<uint64_t> Behind(uint64_t position, uint64_t width) const;
  bool IsKey(uint64_t position, std::string_view name) const;
  std::optional<int64_t> Value(uint64_t position, uint64_t width, unsigned packed_type) const;

  const uint8_t* bytes_;
  uint64_t size_;
  uint64_t count_ = 0;  // entries; none if this is not a map
  uint64_t values_ = 0, value_width_ = 1;
  uint64_t keys_ = 0, key_width_ = 1;
};

}  // namespace larq_reactnet_runtime
