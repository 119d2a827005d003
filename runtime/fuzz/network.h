// Networks of the operators of LCE and of what is joined to them, made of a fuzzer's bytes.
#pragma once

#include "bytes.h"
#include "interpreter.h"

namespace larq_reactnet_runtime::fuzz {

// A network as a converter writes it.
FakeGraph MakeNetwork(Bytes* bytes);

// Changes something in it, such that most of it still is as it was.
void Damage(Bytes* bytes, FakeGraph* graph);

// A size, which mostly is one that some image has.
int AnySize(Bytes* bytes);

}  // namespace larq_reactnet_runtime::fuzz
