/* 32-bit RISC-V in qemu: the start of a program, output by semihosting, and its own counter. */
#include "machine.h"

#include <string.h>

extern uint32_t stack_end[], bss_start[], bss_end[];
int main(void);

const uint32_t machine_unit = 1;

static int semihosting(int operation, const void *argument) {
  register int a0 __asm__("a0") = operation;
  register const void *a1 __asm__("a1") = argument;
  /* These three mean semihosting only if none of them is compressed. */
  __asm__ volatile(
      ".balign 16\n"
      ".option push\n"
      ".option norvc\n"
      "slli x0, x0, 0x1f\n"
      "ebreak\n"
      "srai x0, x0, 7\n"
      ".option pop\n"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
  return a0;
}

void machine_print(const char *text) { semihosting(0x04, text); }

_Noreturn void machine_exit(int status) {
  const uint32_t reason[2] = {0x20026, (uint32_t)status};
  for (;;) semihosting(0x20, reason);
}

uint64_t machine_instructions(void) {
  uint32_t high, low, again;
  do {
    __asm__ volatile(".option push\n .option arch, +zicsr\n"
                     "csrr %0, minstreth\n csrr %1, minstret\n csrr %2, minstreth\n"
                     ".option pop"
                     : "=&r"(high), "=&r"(low), "=&r"(again));
  } while (high != again);
  return (uint64_t)high << 32 | low;
}

uint32_t *machine_stack(void) {
  return bss_end;
}

__attribute__((used, aligned(4))) static void on_fault(void) {
  machine_print("fault\n");
  machine_exit(99);
}

__attribute__((used)) static void start(void) {
  memset(bss_start, 0, (uint32_t)((char *)bss_end - (char *)bss_start));
  machine_exit(main());
}

__asm__(
    ".section .vectors, \"ax\"\n"
    ".option arch, +zicsr\n"
    ".globl _start\n"
    "_start:\n"
    "la sp, stack_end\n"
    "la t0, on_fault\n"
    "csrw mtvec, t0\n"
    "j start\n"
    ".text\n");
