// LceQuantize and LceDequantize, for float32 and int8. A row is all channels of a pixel.
#include "ops/quantize.h"

#include <algorithm>
#include <cmath>

#include "base/bits.h"
#include "base/shape.h"

namespace larq_reactnet_runtime {
namespace {

// With fewer values than this, another thread does not pay off.
constexpr int kValuesOfThread = 1 << 14;

// What both operators have in common: they treat one row after the other.
class Rows : public Op {
 public:
  void Prepare(const Shape& input, int) override {
    Shape output;
    Infer(input, &output);
    rows_ = Elements(input) / input.back();
    const int64_t channels = std::max(input.back(), output.back());
    unit_ = std::max<int64_t>(1, kValuesOfThread / channels);
  }

 protected:
  int64_t rows_ = 0;
  int64_t unit_ = 1;
};

class Quantize : public Rows {
 public:
  Quantize(Type type, int zero_point, const Kernel& kernel)
      : type_(type), zero_point_(zero_point), kernel_(kernel) {}

  Reason Infer(const Shape& input, Shape* output) const override {
    if (input.empty() || Elements(input) < 0) return "its input has the shape " + Text(input);
    *output = input;
    output->back() = WordsOf(input.back());
    return {};
  }

  void Prepare(const Shape& input, int threads) override {
    Rows::Prepare(input, threads);
    channels_ = static_cast<size_t>(input.back());
    words_ = static_cast<size_t>(WordsOf(input.back()));
    if (channels_ % kBitsPerWord == 0 && rows_ * input.back() <= kValuesOfThread) {
      // If all words are full, all rows together can be packed as a single long one.
      channels_ *= static_cast<size_t>(rows_);
      words_ *= static_cast<size_t>(rows_);
      rows_ = 1;
    }
  }

  void Run(const Values& values, Threads* threads) const override {
    threads->Run(
        rows_, unit_,
        [this, input = values.input, output = values.output](int, int64_t first, int64_t last) {
          for (size_t row = static_cast<size_t>(first); row < static_cast<size_t>(last); ++row) {
            uint32_t* words = static_cast<uint32_t*>(output) + row * words_;
            if (type_ == Type::kFloat32) {
              kernel_.pack_signs(static_cast<const float*>(input) + row * channels_, channels_,
                                 words);
            } else {
              PackSigns(static_cast<const int8_t*>(input) + row * channels_, channels_, zero_point_,
                        words);
            }
          }
        });
  }

  Type output_type() const override { return Type::kInt32; }
  std::string Name() const override { return "LceQuantize"; }
  const char* KernelName() const override {
    return type_ == Type::kFloat32 ? kernel_.name : Op::KernelName();
  }

 private:
  const Type type_;
  const int zero_point_;
  const Kernel& kernel_;
  size_t channels_ = 0, words_ = 0;
};

class Dequantize : public Rows {
 public:
  Dequantize(const Tensor& output) : type_(output.type), channels_(output.shape.back()) {
    if (type_ != Type::kInt8) return;
    // The number 1 in steps of the output's scale. It is limited, because beyond the range of int8
    // more steps make no difference.
    const double steps = std::min(std::round(1.0f / output.scale), 1000.0f);
    const int offset = static_cast<int>(steps);
    positive_ = static_cast<int8_t>(std::min(127, output.zero_point + offset));
    negative_ = static_cast<int8_t>(std::max(-128, output.zero_point - offset));
  }

  Reason Infer(const Shape& input, Shape* output) const override {
    if (input.empty() || Elements(input) < 0) return "its input has the shape " + Text(input);
    *output = input;
    output->back() = channels_;
    if (input.back() != WordsOf(channels_) || Elements(*output) < 0) {
      return "its input has the shape " + Text(input) + ", its output that of " + Text(*output);
    }
    return {};
  }

  void Run(const Values& values, Threads* threads) const override {
    threads->Run(
        rows_, unit_,
        [this, input = values.input, output = values.output](int, int64_t first, int64_t last) {
          const size_t channels = static_cast<size_t>(channels_);
          const size_t words = static_cast<size_t>(WordsOf(channels_));
          for (size_t row = static_cast<size_t>(first); row < static_cast<size_t>(last); ++row) {
            const uint32_t* bits = static_cast<const uint32_t*>(input) + row * words;
            if (type_ == Type::kFloat32) {
              Unpack(bits, channels, 1.0f, -1.0f, static_cast<float*>(output) + row * channels);
            } else {
              Unpack(bits, channels, positive_, negative_,
                     static_cast<int8_t*>(output) + row * channels);
            }
          }
        });
  }

  Type output_type() const override { return type_; }
  std::string Name() const override { return "LceDequantize"; }

 private:
  const Type type_;
  const int channels_;
  int8_t positive_ = 0, negative_ = 0;
};

}  // namespace

Reason MakeQuantize(const Tensor& input, const Tensor& output, const Kernel& kernel,
                    std::unique_ptr<Op>* op) {
  if (input.type != Type::kFloat32 && input.type != Type::kInt8) {
    return "its input is neither float32 nor int8";
  }
  if (output.type != Type::kInt32) return "its output is not int32";
  *op = std::make_unique<Quantize>(input.type, input.zero_point, kernel);
  return {};
}

Reason MakeDequantize(const Tensor& input, const Tensor& output, std::unique_ptr<Op>* op) {
  if (input.type != Type::kInt32) return "its input is not int32";
  if (output.type != Type::kFloat32 && output.type != Type::kInt8) {
    return "its output is neither float32 nor int8";
  }
  if (output.shape.empty() || output.shape.back() < 1) {
    return "its output has the shape " + Text(output.shape);
  }
  const bool is_scale = output.scale > 0 && std::isfinite(output.scale);
  if (output.type == Type::kInt8 &&
      (!is_scale || output.zero_point < -128 || output.zero_point > 127)) {
    return "its int8 output has no valid scale and zero point";
  }
  *op = std::make_unique<Dequantize>(output);
  return {};
}

}  // namespace larq_reactnet_runtime
