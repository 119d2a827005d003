// LceBMaxPool2d. A maximum is negative if all values are, so its bit is the AND of all of their
// bits.
#include "ops/bmaxpool2d.h"

#include "base/shape.h"

namespace larq_reactnet_runtime {
namespace {

class Bmaxpool2d : public Op {
 public:
  explicit Bmaxpool2d(const Bmaxpool2dOptions& options) : options_(options) {}

  Reason Infer(const Shape& input, Shape* output) const override {
    if (input.size() != 4 || Elements(input) < 0) return "its input has the shape " + Text(input);
    const Axis rows = Rows(input), columns = Columns(input);
    *output = {input[0], rows.output, columns.output, input[3]};
    if (Elements(*output) < 0) return "its output has the shape " + Text(*output);
    return {};
  }

  void Prepare(const Shape& input, int) override {
    rows_ = Rows(input);
    columns_ = Columns(input);
    images_ = input[0];
    words_ = static_cast<size_t>(input[3]);
  }

  void Run(const Values& values, Threads* threads) const override {
    const auto* words = static_cast<const uint32_t*>(values.input);
    auto* maxima = static_cast<uint32_t*>(values.output);
    const int64_t rows = int64_t{images_} * rows_.output;
    threads->Run(rows, 1, [this, words, maxima](int, int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) RunRow(row, words, maxima);
    });
  }

  Type output_type() const override { return Type::kInt32; }
  std::string Name() const override { return "LceBMaxPool2d"; }

 private:
  Axis Rows(const Shape& input) const {
    return {input[1], options_.filter_height, options_.steps.stride_height, 1,
            options_.steps.padding};
  }

  Axis Columns(const Shape& input) const {
    return {input[2], options_.filter_width, options_.steps.stride_width, 1,
            options_.steps.padding};
  }

  void RunRow(int64_t row, const uint32_t* input, uint32_t* output) const {
    const int64_t image = row / rows_.output;
    const int y = static_cast<int>(row % rows_.output);
    uint32_t* pixel = output + static_cast<size_t>(row * columns_.output) * words_;
    for (int x = 0; x < columns_.output; ++x, pixel += words_) {
      for (size_t word = 0; word < words_; ++word) pixel[word] = ~uint32_t{0};
      for (int i = rows_.First(y); i < rows_.Last(y); ++i) {
        const int64_t line = image * rows_.input + rows_.Start(y) + i;
        for (int j = columns_.First(x); j < columns_.Last(x); ++j) {
          const int64_t place = line * columns_.input + columns_.Start(x) + j;
          const uint32_t* words = input + static_cast<size_t>(place) * words_;
          for (size_t word = 0; word < words_; ++word) pixel[word] &= words[word];
        }
      }
    }
  }

  const Bmaxpool2dOptions options_;
  Axis rows_, columns_;
  int images_ = 0;
  size_t words_ = 0;
};

}  // namespace

Reason MakeBmaxpool2d(const Tensor& input, const Tensor& output, const Bmaxpool2dOptions& options,
                      std::unique_ptr<Op>* op) {
  if (input.type != Type::kInt32 || output.type != Type::kInt32) {
    return "its input and output must be int32";
  }
  *op = std::make_unique<Bmaxpool2d>(options);
  return {};
}

}  // namespace larq_reactnet_runtime
