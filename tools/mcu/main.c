/* Runs the network NAME on the images of images.h, and prints what it gives and what it takes.

   Each line is a word and numbers in hexadecimal:
     tensor INDEX BYTES SUM SUM     two checksums of a tensor that the network keeps in its arena
     score BITS                     a score as the bits of its float32
     stage INSTRUCTIONS             for each tensor line, those that ran since the one before
     run INSTRUCTIONS               of the whole network
     stack BYTES                    the most that the network had on the stack

   With -DTENSORS it prints the tensors, else the instructions: looking at tensors takes some. */
#include "machine.h"

static void look(int32_t tensor, const void *data, int32_t bytes);
#define UPPER_LOOK(tensor, data, bytes) look(tensor, data, bytes)
#include "NAME.c"
#include "NAME_weights.c"

#include "images.h"

#define MOST_STAGES 400
#define PAINT 0xa5c35a3cu
#define PAINTED 16384u /* words */

static uint32_t arena[UPPER_ARENA_BYTES / 4 + 1];

/* Prints a word and numbers. */
static void line(const char *word, int32_t count, const uint32_t *numbers) {
  char text[64], *end = text;
  while (*word != 0) *end++ = *word++;
  for (int32_t i = 0; i < count; ++i) {
    *end++ = ' ';
    for (int shift = 28; shift >= 0; shift -= 4) *end++ = "0123456789abcdef"[numbers[i] >> shift & 15];
  }
  *end++ = '\n';
  *end = 0;
  machine_print(text);
}

#ifdef TENSORS
static void look(int32_t tensor, const void *data, int32_t bytes) {
  const unsigned char *at = data;
  uint32_t numbers[4] = {(uint32_t)tensor, (uint32_t)bytes, 2166136261u, 0};
  for (int32_t i = 0; i < bytes; ++i) {
    numbers[2] = (numbers[2] ^ at[i]) * 16777619u;
    numbers[3] = numbers[3] * 2654435761u + at[i] + 1u;
  }
  line("tensor", 4, numbers);
}
#else
static uint64_t stages[MOST_STAGES];
static int32_t stage_count;

static void look(int32_t tensor, const void *data, int32_t bytes) {
  (void)tensor, (void)data, (void)bytes;
  if (stage_count < MOST_STAGES) stages[stage_count++] = machine_instructions();
}

/* Prints how many instructions ran between two times. */
static void instructions(const char *word, uint64_t from, uint64_t to) {
  const uint64_t count = (to - from) * machine_unit;
  const uint32_t numbers[2] = {(uint32_t)(count >> 32), (uint32_t)count};
  line(word, 2, numbers);
}
#endif

/* What an image gives, and what that takes. */
typedef struct {
  float scores[UPPER_SCORES];
  int status;
  uint32_t stack; /* its depth in bytes */
  uint64_t before, after;
} result;

/* Fills the stack below this function, and so below those that called it. Gives where that begins,
   or 0 where a machine does not say how far its stack may grow. */
static __attribute__((noinline)) uint32_t *paint(void) {
  volatile uint32_t here = 0;
  uint32_t *begin = machine_stack(), *top = (uint32_t *)&here - 16;
  if (begin == 0) return 0;
  if ((uint32_t)(top - begin) > PAINTED) begin = top - PAINTED;
  for (uint32_t *at = begin; at < top; ++at) *(volatile uint32_t *)at = PAINT;
  return begin;
}

/* The network, as a function of its own: what it needs of the stack is below its caller. */
static __attribute__((noinline)) int network(const void *image, float *scores) {
  return NAME_run(image, scores, arena);
}

static __attribute__((noinline)) void run(const void *image, result *found) {
  volatile uint32_t here = 0;
  const uint32_t *at = paint();
  found->before = machine_instructions();
  found->status = network(image, found->scores);
  found->after = machine_instructions();
  found->stack = 0;
  if (at != 0) {
    while (at < (uint32_t *)&here && *(const volatile uint32_t *)at == PAINT) ++at;
    found->stack = (uint32_t)((char *)&here - (char *)at);
  }
}

int main(void) {
  result found;
  for (int32_t i = 0; i < IMAGES; ++i) {
#ifndef TENSORS
    stage_count = 0;
#endif
    run(images + i * IMAGE_VALUES, &found);
    if (found.status != 0) return 1;
#ifndef TENSORS
    for (int32_t k = 0; k < stage_count; ++k) {
      instructions("stage", k == 0 ? found.before : stages[k - 1], stages[k]);
    }
    instructions("run", found.before, found.after);
    line("stack", 1, &found.stack);
#endif
    for (int32_t k = 0; k < UPPER_SCORES; ++k) {
      uint32_t bits;
      memcpy(&bits, found.scores + k, sizeof bits);
      line("score", 1, &bits);
    }
  }
  return 0;
}
