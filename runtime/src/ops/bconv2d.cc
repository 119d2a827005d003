// LceBconv2d: takes patches of the input, some output pixels at a time, and calls a kernel.
#include "ops/bconv2d.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/buffer.h"
#include "base/shape.h"
#include "ops/filters.h"
#include "ops/patches.h"
#include "ops/zero_padding.h"

namespace larq_reactnet_runtime {
namespace {

// The most bits that filters may have: doubled counts and their corrections stay far from the
// limits of 32 bits.
constexpr int64_t kMostBits = 1 << 28;

// How much is gathered at once: so little that patches stay in the fastest cache, with a block of
// filters.
constexpr int64_t kPatchBytes = 1 << 14;
constexpr int64_t kMostPixels = 256;

class Bconv2d : public Op {
 public:
  Bconv2d(const Tensor& output, const Bconv2dConstants& constants, const Joined& joined,
          const Bconv2dOptions& options, int groups, const Kernel& kernel)
      : options_(options), kernel_(kernel), filters_(constants.filter, groups, kernel) {
    output_type_ = output.type;
    SetEpilogue(output, constants);
    if (joined.is_any) Join(joined);
  }

  Reason Infer(const Shape& input, Shape* output) const override;
  void Prepare(const Shape& input, int threads) override;
  void Run(const Values& values, Threads* threads) const override;
  Type output_type() const override { return output_type_; }
  std::string Name() const override;
  const char* KernelName() const override { return kernel_.name; }
  int64_t Products() const override {
    return images_ * rows_.output * columns_.output * filters_.height() * filters_.width() *
           group_channels() * channels_out();
  }

 private:
  struct Scratch {
    Buffer<uint32_t> patches;
    std::vector<const int32_t*> corrections;
  };

  int channels_out() const { return filters_.groups() * filters_.filters_of_group(); }
  int group_channels() const { return options_.channels_in / filters_.groups(); }
  bool pads_zeros() const {
    return options_.steps.padding == Padding::kSame && !options_.pads_ones;
  }
  Axis Rows(const Shape& input) const;
  Axis Columns(const Shape& input) const;
  void SetEpilogue(const Tensor& output, const Bconv2dConstants& constants);
  void Join(const Joined& joined);
  void RunPixels(const Values& values, int64_t first, int pixels, Scratch* scratch) const;
  void SetOutputs(const Values& values, size_t first, Tile* tile) const;

  const Bconv2dOptions options_;
  const Kernel& kernel_;
  Type output_type_;
  Filters filters_;
  bool is_packed_ = false;
  Buffer<float> multiplier_, bias_;
  Buffer<int32_t> thresholds_;
  Buffer<float> joined_[kSlotCount];
  int twice_ = 0;
  Epilogue epilogue_;

  // The fields below depend on the shape of the input.
  Axis rows_, columns_;
  int64_t images_ = 0;
  size_t output_stride_ = 0, output_bytes_ = 0;
  Patches patches_;
  bool is_corrected_ = false;
  int chunk_ = 0;
  ZeroPadding zero_padding_;
  mutable std::vector<Scratch> scratch_;
};

Axis Bconv2d::Rows(const Shape& input) const {
  const Steps& steps = options_.steps;
  return {input[1], filters_.height(), steps.stride_height, steps.dilation_height, steps.padding};
}

Axis Bconv2d::Columns(const Shape& input) const {
  const Steps& steps = options_.steps;
  return {input[2], filters_.width(), steps.stride_width, steps.dilation_width, steps.padding};
}

Reason Bconv2d::Infer(const Shape& input, Shape* output) const {
  if (input.size() != 4 || Elements(input) < 0) return "its input has the shape " + Text(input);
  if (input[3] != WordsOf(options_.channels_in)) {
    return "its input has " + std::to_string(input[3]) + " words for " +
           std::to_string(options_.channels_in) + " channels";
  }
  const int channels = output_type_ == Type::kInt32 ? WordsOf(channels_out()) : channels_out();
  *output = {input[0], Rows(input).output, Columns(input).output, channels};
  if (Elements(*output) < 0) return "its output has the shape " + Text(*output);
  return {};
}

// The sum of K products is K - x for a doubled count of x. So LCE's multiplier m and bias b become
// -m and b + K m, as epilogue.h explains. They are computed as LCE does, in float64 and rounded
// once, so that the outputs are equal.
void Bconv2d::SetEpilogue(const Tensor& output, const Bconv2dConstants& constants) {
  const int terms = filters_.height() * filters_.width() * group_channels();
  int least = -terms, most = terms;
  if (options_.activation == Activation::kReluN1To1) least = -1, most = 1;
  if (options_.activation == Activation::kRelu || options_.activation == Activation::kRelu6) {
    least = 0;
  }
  if (options_.activation == Activation::kRelu6) most = 6;
  epilogue_.lowest = terms - std::min(most, terms);
  epilogue_.highest = terms - std::max(least, -terms);
  epilogue_.is_clamped = options_.activation != Activation::kNone;

  const size_t count = static_cast<size_t>(channels_out());
  if (output.type == Type::kInt32) {
    epilogue_.output = Output::kBits;
    thresholds_.Resize(filters_.places());
    for (size_t channel = 0; channel < count; ++channel) {
      int32_t threshold;
      std::memcpy(&threshold, static_cast<const int32_t*>(constants.thresholds.constant) + channel,
                  sizeof(threshold));
      thresholds_[filters_.PlaceOf(static_cast<int>(channel))] =
          static_cast<int32_t>(std::clamp<int64_t>(2 * int64_t{threshold}, INT32_MIN, INT32_MAX));
    }
    epilogue_.thresholds = thresholds_.data();
    return;
  }
  const bool is_int8 = output.type == Type::kInt8;
  epilogue_.output = is_int8 ? Output::kInt8 : Output::kFloat;
  const double scale = is_int8 ? output.scale : 1.0;
  const double zero_point = is_int8 ? output.zero_point : 0.0;
  multiplier_.Resize(filters_.places());
  bias_.Resize(filters_.places());
  for (size_t channel = 0; channel < count; ++channel) {
    float factor, bias;
    std::memcpy(&factor, static_cast<const float*>(constants.multiplier.constant) + channel,
                sizeof(factor));
    std::memcpy(&bias, static_cast<const float*>(constants.bias.constant) + channel, sizeof(bias));
    const size_t place = filters_.PlaceOf(static_cast<int>(channel));
    multiplier_[place] = static_cast<float>(-1 * double{factor} / scale);
    bias_[place] = static_cast<float>((double{bias} + double{factor} * terms) / scale + zero_point);
  }
  epilogue_.multiplier = multiplier_.data();
  epilogue_.bias = bias_.data();
}

void Bconv2d::Join(const Joined& joined) {
  epilogue_.output = Output::kJoined;
  epilogue_.slots = joined.slots;
  twice_ = joined.twice;
  for (int slot = 0; slot < kSlotCount; ++slot) {
    const auto* constant = static_cast<const char*>(joined.constants[slot].constant);
    if (constant == nullptr) continue;
    joined_[slot].Resize(filters_.places());
    for (int channel = 0; channel < channels_out(); ++channel, constant += sizeof(float)) {
      std::memcpy(&joined_[slot][filters_.PlaceOf(channel)], constant, sizeof(float));
    }
    epilogue_.constants[slot] = joined_[slot].data();
  }
}

void Bconv2d::Prepare(const Shape& input, int threads) {
  if (!is_packed_) filters_.Pack();
  is_packed_ = true;
  rows_ = Rows(input);
  columns_ = Columns(input);
  images_ = input[0];
  output_stride_ =
      static_cast<size_t>(output_type_ == Type::kInt32 ? WordsOf(channels_out()) : channels_out());
  output_bytes_ = output_stride_ * (output_type_ == Type::kInt8 ? 1 : sizeof(float));

  patches_.Prepare(rows_, columns_, static_cast<size_t>(input[3]), filters_, kernel_);

  is_corrected_ = pads_zeros() && (rows_.First(0) > 0 || columns_.First(0) > 0 ||
                                   rows_.Last(rows_.output - 1) < rows_.window ||
                                   columns_.Last(columns_.output - 1) < columns_.window);
  if (is_corrected_) zero_padding_.Prepare(rows_, columns_, filters_, group_channels());

  const int64_t fit = kPatchBytes / static_cast<int64_t>(patches_.stride() * sizeof(uint32_t));
  const int64_t tiles = std::clamp<int64_t>(fit / kernel_.pixels, 1, kMostPixels / kernel_.pixels);
  chunk_ = static_cast<int>(tiles) * kernel_.pixels;
  scratch_.resize(static_cast<size_t>(threads));
  for (Scratch& scratch : scratch_) {
    if (!patches_.is_input()) {
      scratch.patches.Resize(uint64_t{patches_.stride()} * static_cast<uint64_t>(chunk_));
    }
    if (is_corrected_) scratch.corrections.resize(static_cast<size_t>(chunk_));
  }
}

void Bconv2d::Run(const Values& values, Threads* threads) const {
  const int64_t pixels = images_ * rows_.output * columns_.output;
  threads->Run(pixels, kernel_.pixels, [&](int thread, int64_t first, int64_t last) {
    Scratch* scratch = &scratch_[static_cast<size_t>(thread)];
    for (; first < last; first += chunk_) {
      const int count = static_cast<int>(std::min<int64_t>(chunk_, last - first));
      RunPixels(values, first, count, scratch);
    }
  });
}

std::string Bconv2d::Name() const {
  std::string name = "LceBconv2d " + std::to_string(rows_.window) + "x" +
                     std::to_string(columns_.window) + "/" + std::to_string(rows_.stride);
  for (int slot = 0; slot < kSlotCount; ++slot) {
    if ((twice_ >> slot & 1) != 0) name += " CONCATENATION";
    if ((epilogue_.slots >> slot & 1) == 0) continue;
    name += kSlots[slot] == Stage::kPrelu ? " PRELU" : " ADD";
  }
  return name;
}

// Sets where a tile writes its outputs. Words of bits are set to 0: blocks or their bits into them.
void Bconv2d::SetOutputs(const Values& values, size_t first, Tile* tile) const {
  const size_t pixels = static_cast<size_t>(tile->pixels);
  tile->output_stride = output_stride_;
  if (values.output != nullptr) {
    tile->output = static_cast<char*>(values.output) + first * output_bytes_;
    if (output_type_ == Type::kInt32) std::memset(tile->output, 0, pixels * output_bytes_);
  }
  for (int slot = 0; slot < kSlotCount; ++slot) {
    if (values.added[slot] == nullptr) continue;
    tile->added_stride[slot] = (twice_ >> slot & 1) != 0 ? output_stride_ / 2 : output_stride_;
    tile->added[slot] = values.added[slot] + first * tile->added_stride[slot];
  }
  if (values.signs != nullptr) {
    tile->signs_stride = static_cast<size_t>(WordsOf(channels_out()));
    tile->signs = values.signs + first * tile->signs_stride;
    std::memset(tile->signs, 0, pixels * tile->signs_stride * sizeof(uint32_t));
  }
}

void Bconv2d::RunPixels(const Values& values, int64_t first, int pixels, Scratch* scratch) const {
  const auto* input = static_cast<const uint32_t*>(values.input);
  Tile tile;
  tile.pixels = pixels;
  tile.patch_stride = patches_.stride();
  tile.steps = filters_.steps();
  tile.epilogue = &epilogue_;
  SetOutputs(values, static_cast<size_t>(first), &tile);
  if (is_corrected_) {
    int x = static_cast<int>(first % columns_.output);
    int y = static_cast<int>(first / columns_.output % rows_.output);
    for (int pixel = 0; pixel < pixels; ++pixel) {
      scratch->corrections[static_cast<size_t>(pixel)] = zero_padding_.At(y, x);
      if (++x < columns_.output) continue;
      x = 0;
      if (++y == rows_.output) y = 0;
    }
    tile.corrections = scratch->corrections.data();
  }
  for (int group = 0; group < filters_.groups(); ++group) {
    tile.patches = patches_.At(input, first, pixels, group, scratch->patches.data());
    for (int block = 0; block < filters_.blocks_of_group(); ++block) {
      const int before = block * kernel_.filters;
      tile.filters = filters_.BlockAt(group, block);
      tile.block = filters_.PlaceOfBlock(group, block);
      tile.channel = group * filters_.filters_of_group() + before;
      tile.channels = std::min(kernel_.filters, filters_.filters_of_group() - before);
      kernel_.convolve(tile);
    }
  }
}

// Checks that a tensor is a constant with a value for each output channel.
Reason CheckPerChannel(const Tensor& tensor, Type type, int channels, const char* name) {
  if (tensor.constant == nullptr || tensor.type != type || tensor.shape != Shape{channels}) {
    return std::string("its ") + name + " are not " + std::to_string(channels) + " constants";
  }
  return {};
}

// Checks the filters, and finds the number of groups. LCE has no option for it: if filters have
// fewer words than the input, they are for a group of its channels. Groups are whole words.
Reason CheckFilter(const Tensor& filter, int channels_in, int* groups) {
  const Shape& shape = filter.shape;
  if (filter.type != Type::kInt32 || filter.constant == nullptr || shape.size() != 4 ||
      Elements(shape) < 0) {
    return "its filters are not an int32 constant of four dimensions";
  }
  if (Elements(shape) / shape[0] > kMostBits / kBitsPerWord) return "its filters are too large";
  const int words = WordsOf(channels_in);
  *groups = 1;
  if (shape[3] == words) return {};
  *groups = words / shape[3];
  if (shape[3] > words || words % shape[3] != 0 || channels_in != words * kBitsPerWord ||
      shape[0] % *groups != 0) {
    return "its filters of the shape " + Text(shape) + " are not for " +
           std::to_string(channels_in) + " channels";
  }
  return {};
}

}  // namespace

Reason MakeBconv2d(const Tensor& input, const Tensor& output, const Bconv2dConstants& constants,
                   const Joined& joined, const Bconv2dOptions& options, const Kernel& kernel,
                   std::unique_ptr<Op>* op) {
  if (input.type != Type::kInt32) return "its input is not int32";
  int groups = 1;
  Reason reason = CheckFilter(constants.filter, options.channels_in, &groups);
  if (!reason.empty()) return reason;
  const int channels = constants.filter.shape[0];
  if (output.type == Type::kInt32) {
    reason = CheckPerChannel(constants.thresholds, Type::kInt32, channels, "thresholds");
    if (options.steps.padding == Padding::kSame && !options.pads_ones &&
        options.channels_in % 2 != 0) {
      // A sum may be in the middle of two counts, and thresholds are for whole counts.
      reason = "it pads an odd number of channels with zeros and gives bits: pad with ones";
    }
  } else if (output.type == Type::kFloat32 || output.type == Type::kInt8) {
    reason = CheckPerChannel(constants.multiplier, Type::kFloat32, channels, "multipliers");
    if (reason.empty()) {
      reason = CheckPerChannel(constants.bias, Type::kFloat32, channels, "biases");
    }
    const bool is_scale = output.scale > 0 && std::isfinite(output.scale);
    if (output.type == Type::kInt8 && (!output.is_quantized || !is_scale)) {
      reason = "its int8 output has no scale";
    }
  } else {
    reason = "its output is not float32, int8 or int32";
  }
  if (!reason.empty()) return reason;
  const Shape& filter = constants.filter.shape;
  const int words = filter[1] * filter[2] * filter[3];
  const bool is_wide =
      kernel.wide != nullptr && words >= kernel.least_wide && words <= kernel.most_wide;
  *op = std::make_unique<Bconv2d>(output, constants, joined, options, groups,
                                  is_wide ? *kernel.wide : kernel);
  return {};
}

}  // namespace larq_reactnet_runtime
