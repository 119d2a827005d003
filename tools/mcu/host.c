/* This machine, to compare with. */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>

const uint32_t machine_unit = 1;

void machine_print(const char *text) { fputs(text, stdout); }

_Noreturn void machine_exit(int status) { exit(status); }

uint64_t machine_instructions(void) { return 0; }

uint32_t *machine_stack(void) {
  return 0;
}
