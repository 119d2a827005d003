// Follows the output of each binary convolution from node to node, as far as an epilogue can.
#include "graph/fusion.h"

#include <algorithm>
#include <string_view>

#include "base/shape.h"

namespace larq_reactnet_runtime {
namespace {

constexpr int kNoSlot = kSlotCount;

struct Node {
  int index = -1;
  const TfLiteNode* node = nullptr;
  const TfLiteRegistration* registration = nullptr;
};

// The nodes of a graph, and which of them read a tensor: one that reads it twice is there twice.
struct Graph {
  TfLiteContext* context;
  std::map<int, Node> nodes;
  std::map<int, std::vector<int>> readers;
  std::map<int, int> writers;  // how many

  const TfLiteTensor& tensor(int index) const { return context->tensors[index]; }
  bool has(int index) const {
    return index >= 0 && static_cast<size_t>(index) < context->tensors_size;
  }
};

Graph ReadGraph(TfLiteContext* context) {
  Graph graph{context, {}, {}, {}};
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
    graph.nodes[index] = {index, node, registration};
    for (int j = 0; j < node->inputs->size; ++j) {
      graph.readers[node->inputs->data[j]].push_back(index);
    }
    for (int j = 0; j < node->outputs->size; ++j) ++graph.writers[node->outputs->data[j]];
  }
  return graph;
}

bool Is(const Node& node, std::string_view name) {
  return node.registration->custom_name != nullptr && node.registration->custom_name == name;
}

bool IsBuiltin(const Node& node, int code) {
  return node.registration->custom_name == nullptr && node.registration->builtin_code == code;
}

bool IsPlainFloat(const TfLiteTensor& tensor) {
  return tensor.type == kTfLiteFloat32 && tensor.dims != nullptr && tensor.sparsity == nullptr &&
         tensor.quantization.type == kTfLiteNoQuantization && !tensor.is_variable;
}

bool IsConstant(const TfLiteTensor& tensor) { return tensor.allocation_type == kTfLiteMmapRo; }

bool HaveSameShape(const TfLiteTensor& a, const TfLiteTensor& b) {
  return a.dims->size == b.dims->size &&
         std::equal(a.dims->data, a.dims->data + a.dims->size, b.dims->data);
}

// Is it a constant with a number for each channel, and nothing else?
bool IsPerChannel(const TfLiteTensor& tensor, const TfLiteTensor& values) {
  const int rank = tensor.dims->size;
  if (!IsConstant(tensor) || tensor.data == nullptr || rank < 1 || rank > values.dims->size) {
    return false;
  }
  for (int i = 0; i + 1 < rank; ++i) {
    if (tensor.dims->data[i] != 1) return false;
  }
  const int channels = values.dims->data[values.dims->size - 1];
  return tensor.dims->data[rank - 1] == channels &&
         tensor.bytes >= static_cast<size_t>(channels) * sizeof(float);
}

int SlotFrom(int slot, Stage stage) {
  while (slot < kSlotCount && kSlots[slot] != stage) ++slot;
  return slot;
}

// The first slot from `slot` on in which the node fits that reads `value`, and its other input.
int FindSlot(const Graph& graph, const Node& node, int value, int slot, int* operand) {
  const bool is_add = IsBuiltin(node, kTfLiteBuiltinAdd);
  if (!is_add && !IsBuiltin(node, kTfLiteBuiltinPrelu)) return kNoSlot;
  if (node.node->inputs->size != 2 || node.node->outputs->size != 1) return kNoSlot;
  const int* inputs = node.node->inputs->data;
  const int output = node.node->outputs->data[0];
  const bool is_first = inputs[0] == value;
  *operand = inputs[is_first ? 1 : 0];
  if (!graph.has(*operand) || !graph.has(output) || *operand == value) return kNoSlot;
  const TfLiteTensor& values = graph.tensor(value);
  const TfLiteTensor& other = graph.tensor(*operand);
  const TfLiteTensor& result = graph.tensor(output);
  if (!IsPlainFloat(other) || !IsPlainFloat(result) || IsConstant(result) ||
      !HaveSameShape(values, result) || graph.writers.at(output) != 1) {
    return kNoSlot;
  }
  if (!is_add) {
    return is_first && IsPerChannel(other, values) ? SlotFrom(slot, Stage::kPrelu) : kNoSlot;
  }
  // The activation is the first of the parameters.
  const auto* activation = static_cast<const int*>(node.node->builtin_data);
  if (activation == nullptr || *activation != 0) return kNoSlot;
  if (IsPerChannel(other, values)) return SlotFrom(slot, Stage::kAddConstant);
  if (IsConstant(other) || !HaveSameShape(values, other)) return kNoSlot;
  return SlotFrom(slot, Stage::kAddTensor);
}

// The node that writes a tensor by giving the channels of another one twice, or null. Nothing else may
// read what it writes, and words of channels must not go across the end of those of the other one.
const Node* FindTwice(const Graph& graph, int tensor, int* operand) {
  if (graph.readers.at(tensor).size() != 1 || graph.writers.count(tensor) == 0 ||
      graph.writers.at(tensor) != 1) {
    return nullptr;
  }
  for (const auto& [index, node] : graph.nodes) {
    if (!IsBuiltin(node, kTfLiteBuiltinConcatenation) || node.node->outputs->size != 1 ||
        node.node->outputs->data[0] != tensor) {
      continue;
    }
    // The axis and the activation are all of the parameters.
    const auto* parameters = static_cast<const int*>(node.node->builtin_data);
    const TfLiteIntArray& inputs = *node.node->inputs;
    if (parameters == nullptr || parameters[1] != 0 || inputs.size != 2 ||
        inputs.data[0] != inputs.data[1] || !graph.has(inputs.data[0])) {
      return nullptr;
    }
    const TfLiteTensor& other = graph.tensor(inputs.data[0]);
    const int last = graph.tensor(tensor).dims->size - 1;
    if (!IsPlainFloat(other) || IsConstant(other) || other.dims->size != last + 1 ||
        (parameters[0] != last && parameters[0] != -1) ||
        other.dims->data[last] % kBitsPerWord != 0) {
      return nullptr;
    }
    *operand = inputs.data[0];
    return &node;
  }
  return nullptr;
}

// Are all channels of the input under each filter?
bool HasOneGroup(const Graph& graph, const Node& convolution) {
  const TfLiteIntArray& input = *graph.tensor(convolution.node->inputs->data[0]).dims;
  const TfLiteIntArray& filter = *graph.tensor(convolution.node->inputs->data[1]).dims;
  return input.data[input.size - 1] == filter.data[filter.size - 1];
}

// The longest chain of a convolution in which no tensor of `ends` is between two float operators.
Chain Follow(const Graph& graph, const Node& convolution, const std::set<int>& claimed,
             const std::set<int>& ends) {
  Chain chain;
  chain.nodes = {convolution.index};
  chain.output = convolution.node->outputs->data[0];
  const auto readers_of = [&graph](int tensor) {
    const auto entry = graph.readers.find(tensor);
    return entry == graph.readers.end() ? std::vector<int>{} : entry->second;
  };
  int slot = 0;
  while (ends.count(chain.output) == 0) {
    const std::vector<int> readers = readers_of(chain.output);
    if (readers.size() != 1) break;
    const Node& node = graph.nodes.at(readers[0]);
    int operand = -1;
    slot = FindSlot(graph, node, chain.output, slot, &operand);
    if (slot == kNoSlot) break;
    if (kSlots[slot] == Stage::kAddTensor && ends.count(operand) == 0 &&
        HasOneGroup(graph, convolution)) {
      if (const Node* twice = FindTwice(graph, operand, &operand)) {
        chain.twice |= 1 << slot;
        chain.nodes.push_back(twice->index);
      }
    }
    chain.operands[slot++] = operand;
    chain.nodes.push_back(node.index);
    chain.output = node.node->outputs->data[0];
  }
  for (const int reader : readers_of(chain.output)) {
    const Node& node = graph.nodes.at(reader);
    if (claimed.count(reader) == 0 || !Is(node, "LceQuantize")) continue;
    chain.nodes.push_back(reader);
    chain.signs = node.node->outputs->data[0];
    break;
  }
  return chain;
}

// Asks the interpreter whether the nodes can be one node. Adds to `ends` the tensors between them that
// it wants to have besides, as outputs of the model, or those that may be the reason why not.
bool IsOnePartition(const Graph& graph, const Chain& chain, std::set<int>* ends) {
  TfLiteContext* context = graph.context;
  std::vector<int> nodes = {static_cast<int>(chain.nodes.size())};
  nodes.insert(nodes.end(), chain.nodes.begin(), chain.nodes.end());
  std::sort(nodes.begin() + 1, nodes.end());
  TfLiteDelegateParams* partitions = nullptr;
  int count = 0;
  if (context->PreviewDelegatePartitioning == nullptr ||
      context->PreviewDelegatePartitioning(context,
                                           reinterpret_cast<const TfLiteIntArray*>(nodes.data()),
                                           &partitions, &count) != kTfLiteOk ||
      count != 1) {
    // The interpreter may have ordered a concatenation too far from the rest.
    for (const int index : chain.nodes) {
      const Node& node = graph.nodes.at(index);
      if (IsBuiltin(node, kTfLiteBuiltinConcatenation)) ends->insert(node.node->outputs->data[0]);
    }
    return false;
  }
  const TfLiteIntArray& outputs = *partitions[0].output_tensors;
  for (const int index : chain.nodes) {
    const int output = graph.nodes.at(index).node->outputs->data[0];
    if (output == chain.output || output == chain.signs) continue;
    if (std::count(outputs.data, outputs.data + outputs.size, output) != 0) ends->insert(output);
  }
  return true;
}

}  // namespace

Chains FindChains(TfLiteContext* context, const std::set<int>& claimed) {
  const Graph graph = ReadGraph(context);
  Chains chains;
  for (const int index : claimed) {
    const Node& node = graph.nodes.at(index);
    if (!Is(node, "LceBconv2d")) continue;
    if (!IsPlainFloat(graph.tensor(node.node->outputs->data[0]))) continue;
    std::set<int> ends;
    size_t known = 0;
    do {
      known = ends.size();
      const Chain chain = Follow(graph, node, claimed, ends);
      chains.erase(index);
      if (chain.nodes.size() > 1 && IsOnePartition(graph, chain, &ends)) chains[index] = chain;
    } while (ends.size() != known);
  }
  return chains;
}

}  // namespace larq_reactnet_runtime
