// Reads the options of an operator. Every access to the bytes goes through `Unsigned` or `IsKey`.
#include "base/flexbuffer.h"

#include <cstring>

namespace larq_reactnet_runtime {
namespace {

// The types of a flexbuffer's values that are needed here.
constexpr unsigned kInt = 1, kUnsigned = 2, kIndirectInt = 6, kIndirectUnsigned = 7, kMap = 9,
                   kBool = 26;

// The options of LCE's operators take about 200 bytes. The limit bounds the time that a search
// takes.
constexpr uint64_t kMostBytes = 4096;

bool IsWidth(uint64_t width) { return width == 1 || width == 2 || width == 4 || width == 8; }

int64_t SignExtended(uint64_t value, uint64_t width) {
  const unsigned unused = static_cast<unsigned>(64 - 8 * width);
  return static_cast<int64_t>(value << unused) >> unused;
}

}  // namespace

FlexbufferMap::FlexbufferMap(const void* bytes, size_t size)
    : bytes_(static_cast<const uint8_t*>(bytes)), size_(size) {
  // The last bytes are the root, its type, and its width.
  if (bytes == nullptr || size < 3 || size > kMostBytes) return;
  const uint64_t root_width = bytes_[size - 1];
  const unsigned type = bytes_[size - 2];
  if (!IsWidth(root_width) || size < 2 + root_width || type >> 2 != kMap) return;
  const uint64_t width = uint64_t{1} << (type & 3);
  const auto map = Behind(size - 2 - root_width, root_width);
  // In front of the values stand the offset of the keys, the width of a key, and the number of
  // entries.
  if (!map || *map < 3 * width) return;
  const auto keys = Behind(*map - 3 * width, width);
  const auto key_width = Unsigned(*map - 2 * width, width);
  const auto count = Unsigned(*map - width, width);
  if (!keys || !key_width || !count || !IsWidth(*key_width) || *count > size) return;
  values_ = *map;
  value_width_ = width;
  keys_ = *keys;
  key_width_ = *key_width;
  count_ = *count;
}

std::optional<int64_t> FlexbufferMap::Integer(std::string_view name) const {
  for (uint64_t i = 0; i < count_; ++i) {
    const auto key = Behind(keys_ + i * key_width_, key_width_);
    if (!key || !IsKey(*key, name)) continue;
    const auto type = Unsigned(values_ + count_ * value_width_ + i, 1);
    if (!type) return std::nullopt;
    return Value(values_ + i * value_width_, value_width_, static_cast<unsigned>(*type));
  }
  return std::nullopt;
}

std::optional<uint64_t> FlexbufferMap::Unsigned(uint64_t position, uint64_t width) const {
  if (position > size_ || width > size_ - position) return std::nullopt;
  uint64_t value = 0;
  for (uint64_t i = 0; i < width; ++i) value |= uint64_t{bytes_[position + i]} << (8 * i);
  return value;
}

// Follows an offset, which is counted backwards from where it is written.
std::optional<uint64_t> FlexbufferMap::Behind(uint64_t position, uint64_t width) const {
  const auto offset = Unsigned(position, width);
  if (!offset || *offset > position) return std::nullopt;
  return position - *offset;
}

bool FlexbufferMap::IsKey(uint64_t position, std::string_view name) const {
  if (position > size_ || name.size() >= size_ - position) return false;  // a zero ends it
  return std::memcmp(bytes_ + position, name.data(), name.size()) == 0 &&
         bytes_[position + name.size()] == 0;
}

std::optional<int64_t> FlexbufferMap::Value(uint64_t position, uint64_t width,
                                            unsigned packed_type) const {
  const unsigned type = packed_type >> 2;
  if (type == kIndirectInt || type == kIndirectUnsigned) {
    const auto target = Behind(position, width);
    if (!target) return std::nullopt;
    position = *target;
    width = uint64_t{1} << (packed_type & 3);
  } else if (type != kInt && type != kUnsigned && type != kBool) {
    return std::nullopt;
  }
  const auto value = Unsigned(position, width);
  if (!value) return std::nullopt;
  if (type == kInt || type == kIndirectInt) return SignExtended(*value, width);
  return static_cast<int64_t>(*value);
}

}  // namespace larq_reactnet_runtime
