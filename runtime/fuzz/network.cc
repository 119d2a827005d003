// A network without mistakes gets a fuzzer past the first checks; damage to it tries each of them.
#include "network.h"

#include <climits>
#include <cstring>
#include <string>
#include <utility>

#include "graph/graph.h"
#include "ops/bconv2d.h"

namespace larq_reactnet_runtime::fuzz {
namespace {

using Options = std::vector<std::pair<std::string, int>>;

constexpr int kChannels[] = {32, 1, 5, 31, 33, 64, 65, 96, 128, 130, 256};
constexpr int kFilters[] = {32, 1, 7, 8, 9, 16, 33, 40, 64, 66};
constexpr int kBuiltinNegative = 59;

void Append(int64_t value, int width, std::vector<uint8_t>* bytes) {
  for (int i = 0; i < width; ++i) bytes->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

// Writes options as a flexbuffer: a map from names, which are sorted, to integers of 32 bits.
std::vector<uint8_t> Flexbuffer(const Options& options) {
  std::vector<uint8_t> bytes;
  std::vector<size_t> names;
  for (const auto& [name, value] : options) {
    names.push_back(bytes.size());
    bytes.insert(bytes.end(), name.c_str(), name.c_str() + name.size() + 1);
  }
  const int64_t count = static_cast<int64_t>(options.size());
  Append(count, 4, &bytes);
  const size_t keys = bytes.size();
  for (const size_t name : names) Append(static_cast<int64_t>(bytes.size() - name), 4, &bytes);
  Append(static_cast<int64_t>(bytes.size() - keys), 4, &bytes);
  Append(4, 4, &bytes);
  Append(count, 4, &bytes);
  const size_t values = bytes.size();
  for (const auto& option : options) Append(option.second, 4, &bytes);
  for (int64_t i = 0; i < count; ++i) bytes.push_back(1 << 2 | 2);
  Append(static_cast<int64_t>(bytes.size() - values), 4, &bytes);
  bytes.push_back(9 << 2 | 2);
  bytes.push_back(4);
  return bytes;
}

class Builder {
 public:
  explicit Builder(Bytes* bytes) : bytes_(*bytes) {}

  FakeGraph Build() {
    const int sizes[] = {5, 1, 2, 3, 4, 7, 8, 12};
    const int layers = 1 + bytes_.Below(8);
    current_ = Tensor(kTfLiteFloat32, {1 + bytes_.Below(2), bytes_.Of(sizes), bytes_.Of(sizes),
                                       bytes_.Of(kChannels)});
    channels_ = shape()[3];
    for (int i = 0; i < layers; ++i) {
      AddLayer();
      if (bytes_.Below(4) == 3) graph_.outputs.push_back(current_);
    }
    graph_.outputs.push_back(current_);
    return std::move(graph_);
  }

 private:
  const std::vector<int>& shape() const {
    return graph_.tensors[static_cast<size_t>(current_)].shape;
  }
  std::vector<int> With(int channels) const {
    std::vector<int> shape = this->shape();
    shape.back() = channels;
    return shape;
  }

  int Tensor(TfLiteType type, std::vector<int> shape) {
    FakeTensor tensor;
    tensor.type = type;
    tensor.shape = std::move(shape);
    if (type == kTfLiteInt8) {
      tensor.is_quantized = true;
      tensor.scale = 0.25f;
      tensor.zero_point = 3;
    }
    graph_.tensors.push_back(tensor);
    return static_cast<int>(graph_.tensors.size()) - 1;
  }

  int Constant(TfLiteType type, std::vector<int> shape) {
    const int index = Tensor(type, std::move(shape));
    FakeTensor& tensor = graph_.tensors.back();
    tensor.is_constant = true;
    tensor.seed = static_cast<uint32_t>(index);
    return index;
  }

  void Put(const char* name, std::vector<int> inputs, int output, const Options& options) {
    FakeNode node;
    node.name = name;
    node.inputs = std::move(inputs);
    node.outputs = {output};
    node.options = Flexbuffer(options);
    graph_.nodes.push_back(std::move(node));
    current_ = output;
  }

  void PutBuiltin(int builtin, std::vector<int> inputs) {
    FakeNode node;
    node.builtin = builtin;
    node.inputs = std::move(inputs);
    node.outputs = {Tensor(kTfLiteFloat32, shape())};
    current_ = node.outputs[0];
    graph_.nodes.push_back(std::move(node));
  }

  void AddLayer() {
    const TfLiteType type = graph_.tensors[static_cast<size_t>(current_)].type;
    const int choice = bytes_.Byte();
    if (type == kTfLiteInt32) {
      if (choice % 8 == 7) return AddDequantize();
      return choice % 8 == 6 ? AddPool() : AddConvolution();
    }
    if (type == kTfLiteInt8 || choice % 5 == 0) {
      return Put("LceQuantize", {current_}, Tensor(kTfLiteInt32, With((channels_ + 31) / 32)), {});
    }
    if (choice % 5 == 1) return PutBuiltin(kBuiltinNegative, {current_});
    int other = choice % 5 == 2 ? (choice & 32) != 0 ? Doubled() : Earlier() : kNoTensor;
    if (other == kNoTensor) {
      const std::vector<int> ones(static_cast<size_t>(bytes_.Below(4)), 1);
      other = Constant(kTfLiteFloat32, ones);
      graph_.tensors.back().shape.push_back(channels_);
    }
    if (choice % 5 == 3) return PutBuiltin(kTfLiteBuiltinPrelu, {current_, other});
    if (choice & 64) return PutBuiltin(kTfLiteBuiltinAdd, {other, current_});
    PutBuiltin(kTfLiteBuiltinAdd, {current_, other});
  }

  // An earlier tensor of floats with the current shape, or a new input with it.
  int Earlier() {
    for (int i = 0; i < current_; ++i) {
      const FakeTensor& tensor = graph_.tensors[static_cast<size_t>(i)];
      if (tensor.type == kTfLiteFloat32 && !tensor.is_constant && tensor.shape == shape()) return i;
    }
    return Tensor(kTfLiteFloat32, shape());
  }

  // The concatenation of a new input with itself along the channels.
  int Doubled() {
    const int half = Tensor(kTfLiteFloat32, With((channels_ + 1) / 2));
    FakeNode node;
    node.builtin = kTfLiteBuiltinConcatenation;
    node.inputs = {half, half};
    node.parameters[0] = 3;
    node.outputs = {Tensor(kTfLiteFloat32, shape())};
    const int doubled = node.outputs[0];
    // An interpreter may have ordered it in front of the convolution, or behind it.
    const auto place =
        graph_.nodes.empty() || bytes_.Below(2) == 0 ? graph_.nodes.end() : graph_.nodes.end() - 1;
    graph_.nodes.insert(place, std::move(node));
    return doubled;
  }

  void AddDequantize() {
    const TfLiteType type = bytes_.Below(3) == 2 ? kTfLiteInt8 : kTfLiteFloat32;
    Put("LceDequantize", {current_}, Tensor(type, With(channels_)), {});
  }

  // The size of an output. A window that does not fit is padded.
  static int Size(int size, int window, int stride, int dilation, int* padding) {
    const int left = size - (window - 1) * dilation - 1;
    if (left < 0) *padding = 0;
    return *padding == 0 ? (size + stride - 1) / stride : left / stride + 1;
  }

  void AddPool() {
    const int height = 1 + bytes_.Below(3), width = 1 + bytes_.Below(3);
    const int stride = 1 + bytes_.Below(3);
    int padding = bytes_.Below(2);
    std::vector<int> target = shape();
    for (int tries = 0; tries < 2; ++tries) {
      target[1] = Size(shape()[1], height, stride, 1, &padding);
      target[2] = Size(shape()[2], width, stride, 1, &padding);
    }
    const Options options = {{"filter_height", height},
                             {"filter_width", width},
                             {"padding", padding},
                             {"stride_height", stride},
                             {"stride_width", stride}};
    Put("LceBMaxPool2d", {current_}, Tensor(kTfLiteInt32, target), options);
  }

  void AddConvolution() {
    const int heights[] = {3, 1, 2, 4}, widths[] = {3, 1, 2, 5};
    const TfLiteType types[] = {kTfLiteFloat32, kTfLiteFloat32, kTfLiteInt32, kTfLiteInt8};
    const int height = bytes_.Of(heights), width = bytes_.Of(widths);
    const int stride_height = 1 + bytes_.Below(3), stride_width = 1 + bytes_.Below(2);
    const int dilation_height = 1 + bytes_.Below(2), dilation_width = 1 + bytes_.Below(3);
    int padding = bytes_.Below(2);
    const int ones = bytes_.Below(2), activation = bytes_.Below(4);
    const int filters = bytes_.Of(kFilters);
    const int groups = channels_ % 64 == 0 && filters % 2 == 0 ? 1 + bytes_.Below(2) : 1;
    const TfLiteType type = bytes_.Of(types);
    std::vector<int> target = shape();
    for (int tries = 0; tries < 2; ++tries) {
      target[1] = Size(shape()[1], height, stride_height, dilation_height, &padding);
      target[2] = Size(shape()[2], width, stride_width, dilation_width, &padding);
    }
    target[3] = type == kTfLiteInt32 ? (filters + 31) / 32 : filters;
    // A file may give the output another size than the operator computes, and go on with that.
    const bool is_wrong = bytes_.Below(16) == 15;
    if (is_wrong) target[static_cast<size_t>(1 + bytes_.Below(3))] = 1 + bytes_.Below(70);
    const int words = (channels_ + 31) / 32 / groups;
    std::vector<int> inputs(kBconv2dInputs, kNoTensor);
    inputs[kImageInput] = current_;
    inputs[kFilterInput] = Constant(kTfLiteInt32, {filters, height, width, words});
    if (type == kTfLiteInt32) {
      inputs[kThresholdsInput] = Constant(kTfLiteInt32, {filters});
    } else {
      inputs[kMultiplierInput] = Constant(kTfLiteFloat32, {filters});
      inputs[kBiasInput] = Constant(kTfLiteFloat32, {filters});
    }
    const Options options = {{"channels_in", channels_},
                             {"dilation_height_factor", dilation_height},
                             {"dilation_width_factor", dilation_width},
                             {"fused_activation_function", activation},
                             {"pad_values", ones},
                             {"padding", padding},
                             {"stride_height", stride_height},
                             {"stride_width", stride_width}};
    Put("LceBconv2d", std::move(inputs), Tensor(type, target), options);
    channels_ = is_wrong && type != kTfLiteInt32 ? target[3] : filters;
  }

  Bytes& bytes_;
  FakeGraph graph_;
  int current_ = 0;
  int channels_ = 0;
};

void DamageTensor(Bytes* bytes, FakeTensor* tensor) {
  const int types[] = {1, 2, 9, 3, 4, 0, 7, 100};
  const float scales[] = {1.0f, 0.0f, -1.0f, 1e-38f, 1e38f, __builtin_inff(), __builtin_nanf("")};
  const int zeros[] = {0, 127, -128, 128, -129, INT_MAX, INT_MIN};
  switch (bytes->Below(12)) {
    case 0:
    case 1:
      if (!tensor->shape.empty()) {
        tensor->shape[static_cast<size_t>(bytes->Below(tensor->shape.size()))] = AnySize(bytes);
      }
      break;
    case 2:
      tensor->shape.resize(static_cast<size_t>(bytes->Below(6)), AnySize(bytes));
      break;
    case 3:
      tensor->type = static_cast<TfLiteType>(bytes->Of(types));
      break;
    case 4:
      tensor->is_constant = !tensor->is_constant;
      break;
    case 5:
      tensor->missing = static_cast<size_t>(1 + bytes->Byte());
      break;
    case 6:
      tensor->unaligned = static_cast<size_t>(bytes->Below(4));
      break;
    case 7:
      tensor->has_data = false;
      break;
    case 8:
      tensor->scale = bytes->Of(scales);
      tensor->zero_point = bytes->Of(zeros);
      break;
    case 9:
      tensor->is_quantized = !tensor->is_quantized;
      break;
    case 10:
      (bytes->Below(2) == 0 ? tensor->is_sparse : tensor->is_variable) = true;
      break;
    default:
      tensor->has_shape = bytes->Below(2) == 0;
  }
}

void DamageNode(Bytes* bytes, int tensors, FakeNode* node) {
  const char* names[] = {"LceQuantize", "LceDequantize", "LceBconv2d", "LceBMaxPool2d", "", "Lce"};
  const int any_tensor = bytes->Below(static_cast<size_t>(tensors) + 3) - 2;
  switch (bytes->Below(9)) {
    case 0:
    case 1:
      if (!node->inputs.empty()) {
        node->inputs[static_cast<size_t>(bytes->Below(node->inputs.size()))] = any_tensor;
      }
      break;
    case 2:
      if (!node->outputs.empty()) node->outputs[0] = any_tensor;
      break;
    case 3:
      node->inputs.resize(static_cast<size_t>(bytes->Below(7)), any_tensor);
      break;
    case 4:
      node->outputs.resize(static_cast<size_t>(bytes->Below(3)), any_tensor);
      break;
    case 5:
      if (!node->options.empty()) {
        // Most bytes are names, and come first. What matters is behind them, so count from the end.
        const size_t place = static_cast<size_t>(bytes->Byte()) % node->options.size();
        node->options[node->options.size() - 1 - place] = bytes->Byte();
      }
      break;
    case 6:
      node->options.resize(static_cast<size_t>(bytes->Byte()));
      node->has_options = bytes->Below(3) != 2;
      break;
    case 7:
      node->parameters[static_cast<size_t>(bytes->Below(2))] = bytes->Below(6) - 1;
      node->has_parameters = bytes->Below(2) == 0;
      break;
    default:
      node->name = bytes->Of(names);
  }
}

}  // namespace

FakeGraph MakeNetwork(Bytes* bytes) { return Builder(bytes).Build(); }

int AnySize(Bytes* bytes) {
  const int sizes[] = {0, 1, 2, 3, 31, 32, 33, 64, 4096, 1 << 16, 1 << 24, INT_MAX, -1, INT_MIN};
  const int choice = bytes->Byte();
  return choice < 128 ? choice % 40 : sizes[choice % 14];
}

void Damage(Bytes* bytes, FakeGraph* graph) {
  const size_t nodes = graph->nodes.size(), tensors = graph->tensors.size();
  const int kind = bytes->Below(8);
  if (kind < 4) {
    DamageTensor(bytes, &graph->tensors[static_cast<size_t>(bytes->Below(tensors))]);
  } else if (kind < 7) {
    DamageNode(bytes, static_cast<int>(tensors),
               &graph->nodes[static_cast<size_t>(bytes->Below(nodes))]);
  } else if (bytes->Below(2) == 0) {
    std::swap(graph->nodes[static_cast<size_t>(bytes->Below(nodes))],
              graph->nodes[static_cast<size_t>(bytes->Below(nodes))]);
  } else {
    graph->outputs.push_back(bytes->Below(tensors));
  }
}

}  // namespace larq_reactnet_runtime::fuzz
