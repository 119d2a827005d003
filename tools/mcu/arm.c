/* ARM Cortex-M in qemu: the start of a program, output by semihosting, and SysTick as a counter. */
#include "machine.h"

#include <string.h>

extern uint32_t stack_end[], data_load[], data_start[], data_end[], bss_start[], bss_end[];
int main(void);

#define CONTROL (*(volatile uint32_t *)0xe000e010)
#define RELOAD (*(volatile uint32_t *)0xe000e014)
#define CURRENT (*(volatile uint32_t *)0xe000e018)
#define COPROCESSORS (*(volatile uint32_t *)0xe000ed88)
#define TICKS 0x1000000u

static volatile uint32_t wraps;
/* A tick is one of 25 MHz; with -icount shift=0, an instruction takes a nanosecond. */
const uint32_t machine_unit = 40;

static int semihosting(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void machine_print(const char *text) { semihosting(0x04, text); }

_Noreturn void machine_exit(int status) {
  const uint32_t reason[2] = {0x20026, (uint32_t)status};
  for (;;) semihosting(0x20, reason);
}

uint64_t machine_instructions(void) {
  uint32_t before, ticks;
  do {
    before = wraps;
    ticks = CURRENT;
    __asm__ volatile("isb"); /* lets an exception that waits run */
  } while (before != wraps);
  /* It counts down from 0: 0, TICKS - 1, ..., 1, and 0 again, with an exception. */
  return (uint64_t)before * TICKS + (TICKS - ticks) % TICKS;
}

uint32_t *machine_stack(void) {
  return bss_end;
}

static void on_tick(void) { ++wraps; }

static void on_fault(void) {
  machine_print("fault\n");
  machine_exit(99);
}

static void start(void) {
#ifdef __ARM_FP
  COPROCESSORS |= 0xfu << 20;
  __asm__ volatile("dsb\n isb");
#endif
  memcpy(data_start, data_load, (uint32_t)((char *)data_end - (char *)data_start));
  memset(bss_start, 0, (uint32_t)((char *)bss_end - (char *)bss_start));
  RELOAD = TICKS - 1;
  CURRENT = 0;
  CONTROL = 7; /* on, with an exception at 0, by the clock of the processor */
  machine_exit(main());
}

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const struct {
  uint32_t *stack;
  handler handlers[15];
} vectors = {stack_end,
             {start, on_fault, on_fault, on_fault, on_fault, on_fault, on_fault, on_fault, on_fault,
              on_fault, on_fault, on_fault, on_fault, on_fault, on_tick}};
