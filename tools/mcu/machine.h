/* What a program needs of the machine that it runs on: arm.c, riscv.c and host.c have it. */
#ifndef MACHINE_H
#define MACHINE_H
#include <stdint.h>

/* Prints a text. */
void machine_print(const char *text);

/* Ends the program. A status other than 0 is a failure. */
_Noreturn void machine_exit(int status);

/* Instructions that have run, in units of machine_unit instructions. 0 on the host. */
uint64_t machine_instructions(void);
extern const uint32_t machine_unit;

/* The lowest word that the stack may grow down to. 0 on the host. */
uint32_t *machine_stack(void);

#endif
