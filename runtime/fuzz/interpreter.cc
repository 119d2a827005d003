// Divides a graph into partitions as TensorFlow Lite's graph_info.cc does, since a delegate relies
// on their order.
#include "interpreter.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace larq_reactnet_runtime::fuzz {
namespace {

std::vector<int> WithSize(const std::vector<int>& values) {
  std::vector<int> array = {static_cast<int>(values.size())};
  array.insert(array.end(), values.begin(), values.end());
  return array;
}

// The size of a tensor. It is 0 for negative sizes, and at most more than there is memory for.
size_t BytesOf(TfLiteType type, const std::vector<int>& shape) {
  uint64_t bytes = type == kTfLiteInt8 ? 1 : 4;
  for (const int size : shape) {
    if (size < 0) return 0;
    bytes *= static_cast<uint64_t>(size);
    if (bytes > uint64_t{1} << 40) return size_t{1} << 40;
  }
  return static_cast<size_t>(bytes);
}

void FillWithNumbers(uint32_t seed, size_t bytes, unsigned char* memory) {
  for (size_t i = 0; i < bytes; ++i) {
    seed = seed * 1664525 + 1013904223;
    memory[i] = static_cast<unsigned char>(seed >> 24);
  }
}

void ReportNothing(TfLiteContext*, const char*, ...) {}

void Unique(std::vector<int>* values) {
  std::sort(values->begin(), values->end());
  values->erase(std::unique(values->begin(), values->end()), values->end());
}

}  // namespace

FakeInterpreter::FakeInterpreter(const FakeGraph& graph)
    : tensors_(graph.tensors.size()),
      shapes_(graph.tensors.size()),
      memory_(graph.tensors.size()),
      are_constants_(graph.tensors.size()),
      outputs_(graph.outputs) {
  for (size_t i = 0; i < graph.tensors.size(); ++i) AddTensor(graph.tensors[i], i);
  for (const FakeNode& node : graph.nodes) AddNode(node);
  for (size_t i = 0; i < nodes_.size(); ++i) plan_.push_back(static_cast<int>(i));
  plan_ = WithSize(plan_);

  context_.tensors_size = tensors_.size();
  context_.tensors = tensors_.data();
  context_.impl = this;
  context_.GetExecutionPlan = [](TfLiteContext* context, TfLiteIntArray** plan) {
    *plan = AsArray(&From(context)->plan_);
    return kTfLiteOk;
  };
  context_.GetNodeAndRegistration = [](TfLiteContext* context, int index, TfLiteNode** node,
                                       TfLiteRegistration** registration) {
    std::deque<Node>& nodes = From(context)->nodes_;
    if (index < 0 || static_cast<size_t>(index) >= nodes.size()) return kTfLiteError;
    *node = &nodes[static_cast<size_t>(index)].node;
    *registration = &nodes[static_cast<size_t>(index)].registration;
    return kTfLiteOk;
  };
  context_.ReportError = ReportNothing;
  context_.ResizeTensor = [](TfLiteContext* context, TfLiteTensor* tensor, TfLiteIntArray* sizes) {
    const std::vector<int> shape(sizes->data, sizes->data + sizes->size);
    std::free(sizes);
    if (tensor->allocation_type == kTfLiteMmapRo) return kTfLiteError;
    From(context)->SetShape(static_cast<size_t>(tensor - context->tensors), shape);
    return kTfLiteOk;
  };
  context_.ReplaceNodeSubsetsWithDelegateKernels =
      [](TfLiteContext* context, TfLitePassedRegistration registration, const TfLiteIntArray* nodes,
         TfLiteDelegate* delegate) {
        return From(context)->Replace(registration, *nodes, delegate);
      };
  context_.PreviewDelegatePartitioning = [](TfLiteContext* context, const TfLiteIntArray* nodes,
                                            TfLiteDelegateParams** partitions, int* count) {
    FakeInterpreter* self = From(context);
    self->previews_.clear();
    self->preview_.clear();
    for (const Subset& subset : self->Partition(*nodes)) {
      if (!subset.is_replaced) continue;
      self->Fill(&self->previews_.emplace_back(), subset, nullptr);
      self->preview_.push_back(self->previews_.back().params);
    }
    *partitions = self->preview_.data();
    *count = static_cast<int>(self->preview_.size());
    return kTfLiteOk;
  };
}

FakeInterpreter::~FakeInterpreter() {
  for (Node& node : nodes_) {
    if (node.is_delegate && node.node.user_data != nullptr) {
      node.registration.free(&context_, node.node.user_data);
    }
  }
}

void FakeInterpreter::AddTensor(const FakeTensor& tensor, size_t index) {
  TfLiteTensor& target = tensors_[index];
  target.type = tensor.type;
  target.allocation_type =
      tensor.is_constant ? kTfLiteMmapRo : static_cast<TfLiteAllocationType>(2);
  target.params.scale = tensor.scale;
  target.params.zero_point = tensor.zero_point;
  target.is_variable = tensor.is_variable;
  target.quantization.type =
      tensor.is_quantized ? kTfLiteAffineQuantization : kTfLiteNoQuantization;
  target.sparsity = tensor.is_sparse ? this : nullptr;
  SetShape(index, tensor.shape);
  if (!tensor.has_shape) target.dims = nullptr;
  are_constants_[index] = tensor.is_constant;
  if (!tensor.is_constant) return;
  target.bytes -= std::min(target.bytes, tensor.missing);
  if (!tensor.has_data || target.bytes > kMostBytes) return;
  memory_[index].reset(new unsigned char[target.bytes + tensor.unaligned]);
  target.data = memory_[index].get() + tensor.unaligned;
  FillWithNumbers(tensor.seed, target.bytes, static_cast<unsigned char*>(target.data));
}

void FakeInterpreter::SetShape(size_t index, const std::vector<int>& shape) {
  shapes_[index] = WithSize(shape);
  tensors_[index].dims = AsArray(&shapes_[index]);
  tensors_[index].bytes = BytesOf(tensors_[index].type, shape);
}

void FakeInterpreter::AddNode(const FakeNode& node) {
  Node& added = nodes_.emplace_back();
  added.inputs = WithSize(node.inputs);
  added.outputs = WithSize(node.outputs);
  added.name = node.name;
  added.options = node.options;
  added.parameters = node.parameters;
  added.node.inputs = AsArray(&added.inputs);
  added.node.outputs = AsArray(&added.outputs);
  if (node.name.empty()) {
    added.registration.builtin_code = node.builtin;
    if (node.has_parameters) added.node.builtin_data = added.parameters.data();
    return;
  }
  added.registration.builtin_code = 32;
  added.registration.custom_name = added.name.c_str();
  if (!node.has_options) return;
  // They get a block of their own, so that AddressSanitizer knows where they end.
  added.options.shrink_to_fit();
  added.node.custom_initial_data = added.options.data();
  added.node.custom_initial_data_size = static_cast<int>(added.options.size());
}

std::vector<FakeInterpreter::Subset> FakeInterpreter::Partition(
    const TfLiteIntArray& replaced) const {
  constexpr int kAlways = -1, kNotReady = -2;
  std::vector<int> epochs(tensors_.size(), kAlways);
  std::vector<bool> done(nodes_.size());
  std::vector<Subset> subsets;
  const auto is_replaced = [&replaced](int node) {
    return std::count(replaced.data, replaced.data + replaced.size, node) != 0;
  };
  const auto valid = [this](const Array& array) {
    std::vector<int> tensors;
    std::copy_if(array.begin() + 1, array.end(), std::back_inserter(tensors),
                 [this](int tensor) { return Has(tensor); });
    return tensors;
  };
  for (size_t i = 1; i < plan_.size(); ++i) {
    for (const int output : valid(nodes_[static_cast<size_t>(plan_[i])].outputs)) {
      epochs[static_cast<size_t>(output)] = kNotReady;
    }
  }
  const auto take = [&](int index) {
    const Node& node = nodes_[static_cast<size_t>(index)];
    const int epoch = static_cast<int>(subsets.size()) - 1;
    Subset& subset = subsets.back();
    if (done[static_cast<size_t>(index)]) return false;
    for (const int input : valid(node.inputs)) {
      if (epochs[static_cast<size_t>(input)] == kNotReady) return false;
    }
    if (subset.nodes.empty()) subset.is_replaced = is_replaced(index);
    if (subset.is_replaced != is_replaced(index)) return false;
    done[static_cast<size_t>(index)] = true;
    subset.nodes.push_back(index);
    for (const int output : valid(node.outputs)) epochs[static_cast<size_t>(output)] = epoch;
    for (const int input : valid(node.inputs)) {
      const int from = epochs[static_cast<size_t>(input)];
      if (from == epoch) continue;
      subset.inputs.push_back(input);
      if (from >= 0) subsets[static_cast<size_t>(from)].outputs.push_back(input);
    }
    return true;
  };
  do {
    subsets.emplace_back();
    for (bool is_new = true; is_new;) {
      is_new = false;
      for (size_t i = 1; i < plan_.size(); ++i) is_new = take(plan_[i]) || is_new;
    }
  } while (!subsets.back().nodes.empty());
  subsets.pop_back();
  for (const int output : outputs_) {
    const int epoch = epochs[static_cast<size_t>(output)];
    if (epoch >= 0) subsets[static_cast<size_t>(epoch)].outputs.push_back(output);
  }
  for (Subset& subset : subsets) {
    Unique(&subset.inputs);
    Unique(&subset.outputs);
  }
  return subsets;
}

void FakeInterpreter::Fill(Params* params, const Subset& subset, TfLiteDelegate* delegate) const {
  params->nodes = WithSize(subset.nodes);
  params->inputs = WithSize(subset.inputs);
  params->outputs = WithSize(subset.outputs);
  params->params.delegate = delegate;
  params->params.nodes_to_replace = AsArray(&params->nodes);
  params->params.input_tensors = AsArray(&params->inputs);
  params->params.output_tensors = AsArray(&params->outputs);
}

TfLiteStatus FakeInterpreter::Replace(const TfLiteRegistration& registration,
                                      const TfLiteIntArray& nodes, TfLiteDelegate* delegate) {
  const std::vector<Subset> subsets = Partition(nodes);
  std::vector<int> plan;
  for (const Subset& subset : subsets) {
    if (!subset.is_replaced) {
      plan.insert(plan.end(), subset.nodes.begin(), subset.nodes.end());
      continue;
    }
    Params params;
    Fill(&params, subset, delegate);
    Node& node = nodes_.emplace_back();
    plan.push_back(static_cast<int>(nodes_.size()) - 1);
    node.is_delegate = true;
    node.inputs = params.inputs;
    node.outputs = params.outputs;
    node.node.inputs = AsArray(&node.inputs);
    node.node.outputs = AsArray(&node.outputs);
    node.registration = registration;
    node.node.user_data =
        registration.init(&context_, reinterpret_cast<const char*>(&params.params), 0);
  }
  plan_ = WithSize(plan);
  return kTfLiteOk;
}

bool FakeInterpreter::SetDelegate(TfLiteDelegate* delegate) {
  return delegate->Prepare(&context_, delegate) == kTfLiteOk;
}

bool FakeInterpreter::Allocate() {
  for (size_t i = 1; i < plan_.size(); ++i) {
    Node& node = nodes_[static_cast<size_t>(plan_[i])];
    if (node.is_delegate && node.registration.prepare(&context_, &node.node) != kTfLiteOk) {
      return false;
    }
  }
  size_t bytes = 0;
  for (const TfLiteTensor& tensor : tensors_) bytes += std::min(tensor.bytes, kMostBytes + 1);
  if (bytes > kMostBytes) return false;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (are_constants_[i]) continue;
    // TensorFlow Lite aligns these; an array of `new` is aligned to 16 bytes.
    memory_[i].reset(new unsigned char[tensors_[i].bytes]);
    tensors_[i].data = memory_[i].get();
    FillWithNumbers(static_cast<uint32_t>(i), tensors_[i].bytes, memory_[i].get());
  }
  return true;
}

bool FakeInterpreter::Invoke() {
  for (size_t i = 1; i < plan_.size(); ++i) {
    Node& node = nodes_[static_cast<size_t>(plan_[i])];
    if (node.is_delegate && node.registration.invoke(&context_, &node.node) != kTfLiteOk) {
      return false;
    }
  }
  return true;
}

void FakeInterpreter::Resize(int tensor, const std::vector<int>& shape) {
  const size_t index = static_cast<size_t>(tensor);
  if (!are_constants_[index]) SetShape(index, shape);
}

}  // namespace larq_reactnet_runtime::fuzz
