// Makes networks from a fuzzer's bytes: of LCE's operators, and of those that may be joined to
// them.
#pragma once

#include "bytes.h"
#include "interpreter.h"

namespace larq_reactnet_runtime::fuzz {

// A network as a converter writes it.
FakeGraph MakeNetwork(Bytes* bytes);

// Changes one thing in a network, and leaves the rest as it was.
void Damage(Bytes* bytes, FakeGraph* graph);

// A size of an axis. Most are such as images have, some are absurd.
int AnySize(Bytes* bytes);

}  // namespace larq_reactnet_runtime::fuzz
