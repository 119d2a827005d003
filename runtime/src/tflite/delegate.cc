// The functions that the library exports, and the delegate that they make and end.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/profile.h"
#include "base/threads.h"
#include "graph/fusion.h"
#include "kernels/cpu.h"
#include "tflite/abi.h"
#include "tflite/exports.h"
#include "tflite/known_layout.h"
#include "tflite/partition.h"
#include "tflite/read_graph.h"
#include "tflite/tensors.h"
#include "tflite/version.h"

namespace larq_reactnet_runtime {
namespace {

constexpr int kMostThreads = 256;

struct Options {
  int threads = 1;
  const Kernel* kernel = nullptr;
  bool fuses = true;
  std::string profile;  // the path of the file to write; empty for none
};

struct Delegate {
  explicit Delegate(const Options& options)
      : kernel(*options.kernel),
        fuses(options.fuses),
        profile_path(options.profile),
        threads(options.threads) {}

  Profile* profile_or_null() { return profile_path.empty() ? nullptr : &profile; }

  TfLiteDelegate base{};
  const Kernel& kernel;
  const bool fuses;
  const std::string profile_path;
  Threads threads;
  Profile profile;
  Chains chains;  // of the graph that is being prepared
};

Delegate* From(TfLiteDelegate* delegate) { return static_cast<Delegate*>(delegate->data); }

// What the interpreter keeps for us in each node that we have put into its graph.
struct State {
  Delegate* delegate;
  Partition partition;
};

// Calls `work`, and reports the reason that it gives if it fails. No exception gets into C code.
template <class Work>
TfLiteStatus Try(TfLiteContext* context, Work work) {
  try {
    const Reason reason = work();
    if (reason.empty()) return kTfLiteOk;
    context->ReportError(context, "larq_reactnet_runtime cannot run this model: %s.",
                         reason.c_str());
  } catch (const std::exception& error) {
    context->ReportError(context, "larq_reactnet_runtime failed: %s.", error.what());
  }
  return kTfLiteError;
}

void* InitKernel(TfLiteContext* context, const char* buffer, size_t) {
  const auto* params = reinterpret_cast<const TfLiteDelegateParams*>(buffer);
  State* result = nullptr;
  Try(context, [&] {
    auto state = std::make_unique<State>();
    state->delegate = From(params->delegate);
    const Reason reason =
        state->partition.Init(context, *params, state->delegate->kernel, state->delegate->chains);
    if (reason.empty()) result = state.release();
    return reason;
  });
  return result;
}

void FreeKernel(TfLiteContext*, void* buffer) { delete static_cast<State*>(buffer); }

TfLiteStatus PrepareKernel(TfLiteContext* context, TfLiteNode* node) {
  auto* state = static_cast<State*>(node->user_data);
  if (state == nullptr) return kTfLiteError;  // `InitKernel` has reported why
  return Try(context,
             [&] { return state->partition.Prepare(context, state->delegate->threads.count()); });
}

TfLiteStatus RunKernel(TfLiteContext* context, TfLiteNode* node) {
  auto* state = static_cast<State*>(node->user_data);
  Delegate* delegate = state->delegate;
  return Try(context, [&] {
    return state->partition.Run(context, &delegate->threads, delegate->profile_or_null());
  });
}

// Finds the tensors that more than one node of the plan writes.
void FindOutputs(TfLiteContext* context, const TfLiteIntArray& plan, std::set<int>* twice) {
  std::set<int> once;
  for (int i = 0; i < plan.size; ++i) {
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    if (context->GetNodeAndRegistration(context, plan.data[i], &node, &registration) != kTfLiteOk ||
        node->outputs == nullptr) {
      continue;
    }
    for (int j = 0; j < node->outputs->size; ++j) {
      const int output = node->outputs->data[j];
      if (!once.insert(output).second) twice->insert(output);
    }
  }
}

// Finds the nodes of the plan that are operators of LCE. Those that cannot be run are reported.
Reason FindNodes(TfLiteContext* context, const Kernel& kernel, std::set<int>* claimed) {
  TfLiteIntArray* plan = nullptr;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return "it has no execution plan";
  std::set<int> twice;
  FindOutputs(context, *plan, &twice);
  for (int i = 0; i < plan->size; ++i) {
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    const int index = plan->data[i];
    if (context->GetNodeAndRegistration(context, index, &node, &registration) != kTfLiteOk) {
      return "it has a node that cannot be found";
    }
    const char* name = registration->custom_name;
    if (name == nullptr || !IsOurs(name)) continue;
    Step step;
    Reason reason = MakeStep(*context, *node, name, kernel, nullptr, &step);
    if (reason.empty() && twice.count(step.output) != 0) {
      reason = "another operator has the same output";
    }
    if (reason.empty()) {
      claimed->insert(index);
    } else {
      context->ReportError(context,
                           "larq_reactnet_runtime does not run %s (node %d), because %s. Convert "
                           "the model again, or run it with Larq Compute Engine.",
                           name, index, reason.c_str());
    }
  }
  return {};
}

// Replaces nodes of the graph by nodes of ours, one for each partition that the interpreter makes.
Reason Replace(TfLiteContext* context, TfLiteDelegate* delegate, const std::set<int>& nodes) {
  if (nodes.empty()) return {};
  const IntArray replaced(nodes.begin(), nodes.end());
  TfLitePassedRegistration registration{};
  registration.init = InitKernel;
  registration.free = FreeKernel;
  registration.prepare = PrepareKernel;
  registration.invoke = RunKernel;
  registration.custom_name = "LarqReactnetRuntime";
  registration.version = 1;
  if (context->ReplaceNodeSubsetsWithDelegateKernels(context, registration, replaced.get(),
                                                     delegate) != kTfLiteOk) {
    return "the interpreter does not take the delegate";
  }
  return {};
}

// Each chain becomes a node of its own. If it were replaced together with other nodes, the
// interpreter might put the convolution into an early partition, before the tensor is computed that
// the chain adds to it.
Reason Claim(TfLiteContext* context, TfLiteDelegate* delegate) {
  std::set<int> nodes;
  Reason reason = FindNodes(context, From(delegate)->kernel, &nodes);
  if (!reason.empty()) return reason;
  Chains* chains = &From(delegate)->chains;
  if (From(delegate)->fuses) {
    const auto preview = [context](const std::vector<int>& joined) {
      return PreviewPartition(context, joined);
    };
    *chains = FindChains(ReadGraph(context), nodes, preview);
  }
  for (const auto& [convolution, chain] : *chains) {
    reason = Replace(context, delegate, {chain.nodes.begin(), chain.nodes.end()});
    if (!reason.empty()) return reason;
    for (const int node : chain.nodes) nodes.erase(node);
  }
  reason = Replace(context, delegate, nodes);
  chains->clear();
  return reason;
}

constexpr const char* kOtherLayout =
    "larq_reactnet_runtime does not know the structs of this interpreter: they are laid out in "
    "another way than those of TensorFlow Lite 2.14 and of LiteRT up to 2.3. Install one of these, "
    "or a newer larq_reactnet_runtime.";

TfLiteStatus PrepareDelegate(TfLiteContext* context, TfLiteDelegate* delegate) {
  if (!HasKnownFunctions(*context)) {  // nor can it be told through the interpreter
    std::fprintf(stderr, "%s\n", kOtherLayout);
    return kTfLiteError;
  }
  if (!HasKnownTensors(*context) || !HasKnownNodes(context)) {
    context->ReportError(context, kOtherLayout);
    return kTfLiteError;
  }
  return Try(context, [&] { return Claim(context, delegate); });
}

Reason ReadOptions(const char* const* keys, const char* const* values, size_t count,
                   Options* options) {
  std::string isa = "auto";
  for (size_t i = 0; i < count; ++i) {
    const std::string key = keys[i], value = values[i];
    if (key == "num_threads") {
      char* end = nullptr;
      const long threads = std::strtol(value.c_str(), &end, 10);
      if (value.empty() || *end != 0 || threads < 1 || threads > kMostThreads) {
        return "num_threads must be a number from 1 to " + std::to_string(kMostThreads) + ", got " +
               value;
      }
      options->threads = static_cast<int>(threads);
    } else if (key == "isa") {
      isa = value;
    } else if (key == "fuse") {
      if (value != "0" && value != "1") return "fuse must be 0 or 1, got " + value;
      options->fuses = value == "1";
    } else if (key == "profile") {
      options->profile = value;
    } else {
      return "there is no option " + key + ", only num_threads, isa, fuse and profile";
    }
  }
  return ChooseKernel(isa, &options->kernel);
}

}  // namespace
}  // namespace larq_reactnet_runtime

extern "C" {

larq_reactnet_runtime::TfLiteDelegate* tflite_plugin_create_delegate(
    const char* const* keys, const char* const* values, size_t count,
    void (*report_error)(const char*)) {
  using namespace larq_reactnet_runtime;
  Reason reason;
  try {
    Options options;
    reason = ReadOptions(keys, values, count, &options);
    if (reason.empty()) {
      auto* delegate = new Delegate(options);
      delegate->base.data = delegate;
      delegate->base.Prepare = PrepareDelegate;
      // Without this the interpreter would prepare all operators before it asks the delegate, and
      // would fail at those that it does not know.
      delegate->base.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
      return &delegate->base;
    }
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (report_error != nullptr) report_error(("larq_reactnet_runtime: " + reason).c_str());
  return nullptr;
}

void tflite_plugin_destroy_delegate(larq_reactnet_runtime::TfLiteDelegate* delegate) {
  using namespace larq_reactnet_runtime;
  if (delegate == nullptr) return;
  const std::unique_ptr<Delegate> ours(From(delegate));
  if (ours->profile_path.empty()) return;
  const Reason reason = ours->profile.WriteCsv(ours->profile_path);
  if (!reason.empty()) std::fprintf(stderr, "larq_reactnet_runtime: %s\n", reason.c_str());
}

const char* larq_reactnet_runtime_version() { return larq_reactnet_runtime::kVersion; }

const char* larq_reactnet_runtime_instruction_sets() {
  try {
    static const std::string names = larq_reactnet_runtime::KernelNames(",");
    return names.c_str();
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // extern "C"
