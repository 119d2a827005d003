// Follows the output of each binary convolution from node to node, for as long as its epilogue can
// compute what the next node does.
#include "graph/fusion.h"

#include <algorithm>

#include "base/shape.h"

namespace larq_reactnet_runtime {
namespace {

constexpr int kNoSlot = kSlotCount;

// Whether a tensor is a constant with one number for each channel of `values`.
bool IsPerChannel(const GraphTensor& tensor, const GraphTensor& values) {
  const size_t rank = tensor.shape.size();
  if (!tensor.is_constant || !tensor.has_values || rank < 1 || rank > values.shape.size()) {
    return false;
  }
  for (size_t i = 0; i + 1 < rank; ++i) {
    if (tensor.shape[i] != 1) return false;
  }
  const int channels = values.shape.back();
  return tensor.shape.back() == channels &&
         tensor.bytes >= static_cast<size_t>(channels) * sizeof(float);
}

int SlotFrom(int slot, Stage stage) {
  while (slot < kSlotCount && kSlots[slot] != stage) ++slot;
  return slot;
}

// For a node that reads the tensor `value`: the first slot, from `slot` on, that can do what the
// node does, and in `operand` the node's other input. kNoSlot if there is none.
int FindSlot(const Graph& graph, const GraphNode& node, int value, int slot, int* operand) {
  const bool is_add = node.kind == NodeKind::kAdd;
  if (!is_add && node.kind != NodeKind::kPrelu) return kNoSlot;
  if (node.inputs.size() != 2 || node.outputs.size() != 1) return kNoSlot;
  const int output = node.outputs[0];
  const bool is_first = node.inputs[0] == value;
  *operand = node.inputs[is_first ? 1 : 0];
  if (!graph.Has(*operand) || !graph.Has(output) || *operand == value) return kNoSlot;
  const GraphTensor& values = graph.tensor(value);
  const GraphTensor& other = graph.tensor(*operand);
  const GraphTensor& result = graph.tensor(output);
  if (!other.is_plain_float || !result.is_plain_float || result.is_constant ||
      values.shape != result.shape || graph.writers.at(output) != 1) {
    return kNoSlot;
  }
  if (!is_add) {
    return is_first && IsPerChannel(other, values) ? SlotFrom(slot, Stage::kPrelu) : kNoSlot;
  }
  if (!node.has_no_activation) return kNoSlot;
  if (IsPerChannel(other, values)) return SlotFrom(slot, Stage::kAddConstant);
  if (other.is_constant || values.shape != other.shape) return kNoSlot;
  return SlotFrom(slot, Stage::kAddTensor);
}

// The node that writes `tensor` by concatenating another one, then `operand`, with itself along the
// channels; or null. No second node may read the result. The channels of `operand` must fill whole
// words, so that no word has channels of both halves.
const GraphNode* FindTwice(const Graph& graph, int tensor, int* operand) {
  if (graph.readers.at(tensor).size() != 1 || graph.writers.count(tensor) == 0 ||
      graph.writers.at(tensor) != 1) {
    return nullptr;
  }
  for (const auto& [index, node] : graph.nodes) {
    if (node.kind != NodeKind::kConcatenation || node.outputs.size() != 1 ||
        node.outputs[0] != tensor) {
      continue;
    }
    if (!node.has_no_activation || node.inputs.size() != 2 || node.inputs[0] != node.inputs[1] ||
        !graph.Has(node.inputs[0])) {
      return nullptr;
    }
    const GraphTensor& other = graph.tensor(node.inputs[0]);
    const size_t rank = graph.tensor(tensor).shape.size();
    const bool is_of_channels = node.axis == -1 || node.axis == static_cast<int>(rank) - 1;
    if (!other.is_plain_float || other.is_constant || rank < 1 || other.shape.size() != rank ||
        !is_of_channels || other.shape.back() % kBitsPerWord != 0) {
      return nullptr;
    }
    *operand = node.inputs[0];
    return &node;
  }
  return nullptr;
}

// Whether each filter of a convolution spans all channels of its input.
bool HasOneGroup(const Graph& graph, const GraphNode& convolution) {
  return graph.tensor(convolution.inputs[0]).shape.back() ==
         graph.tensor(convolution.inputs[1]).shape.back();
}

// The longest chain that begins with a convolution, and in which no tensor of `ends` is between two
// float operators.
Chain Follow(const Graph& graph, const GraphNode& convolution, const std::set<int>& claimed,
             const std::set<int>& ends) {
  Chain chain;
  chain.nodes = {convolution.index};
  chain.output = convolution.outputs[0];
  const auto readers_of = [&graph](int tensor) {
    const auto entry = graph.readers.find(tensor);
    return entry == graph.readers.end() ? std::vector<int>{} : entry->second;
  };
  int slot = 0;
  while (ends.count(chain.output) == 0) {
    const std::vector<int> readers = readers_of(chain.output);
    if (readers.size() != 1) break;
    const GraphNode& node = graph.nodes.at(readers[0]);
    int operand = kNoTensor;
    slot = FindSlot(graph, node, chain.output, slot, &operand);
    if (slot == kNoSlot) break;
    if (kSlots[slot] == Stage::kAddTensor && ends.count(operand) == 0 &&
        HasOneGroup(graph, convolution)) {
      if (const GraphNode* twice = FindTwice(graph, operand, &operand)) {
        chain.twice |= 1 << slot;
        chain.nodes.push_back(twice->index);
      }
    }
    chain.operands[slot++] = operand;
    chain.nodes.push_back(node.index);
    chain.output = node.outputs[0];
  }
  for (const int reader : readers_of(chain.output)) {
    const GraphNode& node = graph.nodes.at(reader);
    if (claimed.count(reader) == 0 || node.kind != NodeKind::kQuantize) continue;
    chain.nodes.push_back(reader);
    chain.signs = node.outputs[0];
    break;
  }
  return chain;
}

// Asks the interpreter whether it would make a single node of a chain. Tensors inside the chain
// that it needs besides, such as outputs of the model, are added to `ends`. So are, if it would
// make several nodes of the chain, the tensors that may be the reason.
bool IsOnePartition(const Graph& graph, const Chain& chain, const Preview& preview,
                    std::set<int>* ends) {
  const std::optional<std::vector<int>> outputs = preview(chain.nodes);
  for (const int index : chain.nodes) {
    const GraphNode& node = graph.nodes.at(index);
    const int output = node.outputs[0];
    if (!outputs) {
      // The interpreter may have ordered a concatenation too far from the rest.
      if (node.kind == NodeKind::kConcatenation) ends->insert(output);
    } else if (output != chain.output && output != chain.signs &&
               std::count(outputs->begin(), outputs->end(), output) != 0) {
      ends->insert(output);
    }
  }
  return outputs.has_value();
}

}  // namespace

Chains FindChains(const Graph& graph, const std::set<int>& claimed, const Preview& preview) {
  Chains chains;
  for (const int index : claimed) {
    const GraphNode& node = graph.nodes.at(index);
    if (node.kind != NodeKind::kBconv2d || !graph.tensor(node.outputs[0]).is_plain_float) continue;
    // Each answer of the interpreter may name tensors at which the chain has to end earlier.
    std::set<int> ends;
    size_t known = 0;
    do {
      known = ends.size();
      const Chain chain = Follow(graph, node, claimed, ends);
      chains.erase(index);
      if (chain.nodes.size() > 1 && IsOnePartition(graph, chain, preview, &ends)) {
        chains[index] = chain;
      }
    } while (ends.size() != known);
  }
  return chains;
}

}  // namespace larq_reactnet_runtime
