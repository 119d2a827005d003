// Memory aligned to cache lines, for what vector instructions read and write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace larq_reactnet_runtime {

inline constexpr std::align_val_t kAlignment{64};

// An array of numbers, all zero at first. It grows and never shrinks.
template <class Number>
class Buffer {
 public:
  void Resize(uint64_t wanted) {
    // On 32-bit systems a product of sizes may be more than can be addressed.
    if (wanted > PTRDIFF_MAX / sizeof(Number)) throw std::bad_alloc();
    const size_t count = static_cast<size_t>(wanted);
    if (count > count_) {
      numbers_.reset();
      count_ = 0;
      numbers_.reset(static_cast<Number*>(::operator new(count * sizeof(Number), kAlignment)));
      count_ = count;
    }
    for (size_t i = 0; i < count; ++i) numbers_[i] = Number{};
  }

  Number* data() { return numbers_.get(); }
  const Number* data() const { return numbers_.get(); }
  Number& operator[](size_t i) { return numbers_[i]; }
  const Number& operator[](size_t i) const { return numbers_[i]; }

 private:
  struct Deleter {
    void operator()(Number* numbers) const { ::operator delete(numbers, kAlignment); }
  };

  std::unique_ptr<Number[], Deleter> numbers_;
  size_t count_ = 0;
};

}  // namespace larq_reactnet_runtime
