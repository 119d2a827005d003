/* The network NAME alone, in a program that need not run: the linker says what it takes. */
#include "NAME.c"
#include "NAME_weights.c"

static uint32_t arena[(UPPER_ARENA_BYTES + 3) / 4];
static float scores[UPPER_SCORES];

int main(void) {
  return NAME_run((const void *)arena, scores, arena);
}
