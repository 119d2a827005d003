// A plugin for qemu, up to version 8.2, that counts the instructions of the emulated program between
// two marks, and where they are. A mark is the system call `close` of a file that cannot be there:
//
//   close(-7001)   counts are 0 from here on
//   close(-7002)   writes them, to the file that the plugin's argument `out` names
//
// The file has a line for each block of instructions that was run: its address, its instructions,
// how often. Blocks are counted by code that qemu puts in front of them, without locks: counts
// are exact with one thread.
#define _DEFAULT_SOURCE  // for strdup
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The part of qemu-plugin.h that is used here: the interface of version 1.
struct qemu_plugin_tb;
typedef void (*OnBlock)(uint64_t id, struct qemu_plugin_tb *block);
typedef void (*OnCall)(uint64_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b,
                       uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, OnBlock function);
void qemu_plugin_register_vcpu_syscall_cb(uint64_t id, OnCall function);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation,
                                              void *number, uint64_t summand);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { kClose = 57, kStart = -7001, kStop = -7002, kAdd = 0, kBlocks = 4096 };

// Never moved, since qemu's code has their addresses.
struct Blocks {
  struct Blocks *next;
  int count;
  struct {
    uint64_t address, instructions, runs;
  } block[kBlocks];
};

static struct Blocks *blocks;
static const char *path = "count.txt";

static void Translated(uint64_t id, struct qemu_plugin_tb *block) {
  (void)id;
  if (blocks == NULL || blocks->count == kBlocks) {
    struct Blocks *more = calloc(1, sizeof(*more));
    if (more == NULL) abort();
    more->next = blocks;
    blocks = more;
  }
  const int i = blocks->count++;
  blocks->block[i].address = qemu_plugin_tb_vaddr(block);
  blocks->block[i].instructions = qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_inline(block, kAdd, &blocks->block[i].runs, 1);
}

static void Write(void) {
  FILE *file = fopen(path, "w");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  for (const struct Blocks *some = blocks; some != NULL; some = some->next) {
    for (int i = 0; i < some->count; ++i) {
      if (some->block[i].runs == 0) continue;
      fprintf(file, "%llx %llu %llu\n", (unsigned long long)some->block[i].address,
              (unsigned long long)some->block[i].instructions,
              (unsigned long long)some->block[i].runs);
    }
  }
  fclose(file);
}

static void Called(uint64_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c,
                   uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number != kClose) return;
  if ((int32_t)a == kStop) Write();
  if ((int32_t)a != kStart) return;
  for (struct Blocks *some = blocks; some != NULL; some = some->next) {
    for (int i = 0; i < some->count; ++i) some->block[i].runs = 0;
  }
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int count, char **arguments) {
  (void)info;
  for (int i = 0; i < count; ++i) {
    if (strncmp(arguments[i], "out=", 4) == 0) path = strdup(arguments[i] + 4);
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, Translated);
  qemu_plugin_register_vcpu_syscall_cb(id, Called);
  return 0;
}
