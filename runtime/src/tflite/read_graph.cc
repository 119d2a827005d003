// Reads the execution plan: the nodes in it, and all tensors.
#include "tflite/read_graph.h"

#include <algorithm>
#include <string_view>

#include "tflite/tensors.h"

namespace larq_reactnet_runtime {
namespace {

static_assert(kNoTensor == kTfLiteOptionalTensor);

NodeKind KindOf(const TfLiteRegistration& registration) {
  if (registration.custom_name != nullptr) {
    const std::string_view name = registration.custom_name;
    if (name == "LceBconv2d") return NodeKind::kBconv2d;
    return name == "LceQuantize" ? NodeKind::kQuantize : NodeKind::kOther;
  }
  switch (registration.builtin_code) {
    case kTfLiteBuiltinAdd:
      return NodeKind::kAdd;
    case kTfLiteBuiltinConcatenation:
      return NodeKind::kConcatenation;
    case kTfLiteBuiltinPrelu:
      return NodeKind::kPrelu;
  }
  return NodeKind::kOther;
}

std::vector<int> NumbersOf(const TfLiteIntArray& array) {
  return std::vector<int>(array.data, array.data + array.size);
}

GraphNode ReadNode(int index, const TfLiteNode& node, const TfLiteRegistration& registration) {
  GraphNode read;
  read.index = index;
  read.kind = KindOf(registration);
  read.inputs = NumbersOf(*node.inputs);
  read.outputs = NumbersOf(*node.outputs);
  if (node.builtin_data == nullptr) return read;
  if (read.kind == NodeKind::kAdd) {
    const auto* parameters = static_cast<const TfLiteAddParams*>(node.builtin_data);
    read.has_no_activation = parameters->activation == kTfLiteActNone;
  } else if (read.kind == NodeKind::kConcatenation) {
    const auto* parameters = static_cast<const TfLiteConcatenationParams*>(node.builtin_data);
    read.has_no_activation = parameters->activation == kTfLiteActNone;
    read.axis = parameters->axis;
  }
  return read;
}

GraphTensor ReadTensor(const TfLiteTensor& tensor) {
  GraphTensor read;
  read.shape = ShapeOf(tensor);
  read.is_plain_float = tensor.type == kTfLiteFloat32 && tensor.dims != nullptr &&
                        tensor.sparsity == nullptr &&
                        tensor.quantization.type == kTfLiteNoQuantization && !tensor.is_variable;
  read.is_constant = tensor.allocation_type == kTfLiteMmapRo;
  read.has_values = tensor.data != nullptr;
  read.bytes = tensor.bytes;
  return read;
}

}  // namespace

Graph ReadGraph(TfLiteContext* context) {
  Graph graph;
  graph.tensors.reserve(context->tensors_size);
  for (size_t i = 0; i < context->tensors_size; ++i) {
    graph.tensors.push_back(ReadTensor(context->tensors[i]));
  }
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return graph;
  for (int i = 0; i < plan->size; ++i) {
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    const int index = plan->data[i];
    if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk ||
        node->inputs == nullptr || node->outputs == nullptr) {
      continue;
    }
    const GraphNode& read = graph.nodes[index] = ReadNode(index, *node, *registration);
    for (const int input : read.inputs) graph.readers[input].push_back(index);
    for (const int output : read.outputs) ++graph.writers[output];
  }
  return graph;
}

std::optional<std::vector<int>> PreviewPartition(TfLiteContext* context,
                                                 const std::vector<int>& nodes) {
  if (context->PreviewDelegatePartitioning == nullptr) return std::nullopt;
  std::vector<int> sorted = nodes;
  std::sort(sorted.begin(), sorted.end());
  const IntArray array(sorted.begin(), sorted.end());
  TfLiteDelegateParams* partitions = nullptr;
  int count = 0;
  if (context->PreviewDelegatePartitioning(context, array.get(), &partitions, &count) !=
          kTfLiteOk ||
      count != 1) {
    return std::nullopt;
  }
  return NumbersOf(*partitions[0].output_tensors);
}

}  // namespace larq_reactnet_runtime
