/* One layer of CBin-NN, timed: 3x3, 64 -> 64 channels, 16x16, stride 1. Linked with its library. */
#include "machine.h"

#include <string.h>

#define SIDE 16
#define CHANNELS 64

void BBConv2D(int out[], int out_ch, int out_dim, int in_ch, int in_dim, int ker_size, int stride,
              int padding, int bias[], int weight[], float bn_wt[], int input[]);

static int input[SIDE * SIDE * CHANNELS / 32], output[SIDE * SIDE * CHANNELS / 32];
static int weights[CHANNELS * 9 * CHANNELS]; /* it looks farther than it should */
static int bias[CHANNELS];
static float thresholds[CHANNELS];

static void fill(int *words, int count) {
  uint32_t state = 1;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    words[i] = (int)(state ^ state >> 13);
  }
}

int main(void) {
  uint64_t count;
  char text[] = "run 00000000 00000000\n";
  fill(input, SIDE * SIDE * CHANNELS / 32);
  fill(weights, CHANNELS * 9 * CHANNELS);
  count = machine_instructions();
  BBConv2D(output, CHANNELS, SIDE, CHANNELS, SIDE, 3, 1, 1, bias, weights, thresholds, input);
  count = (machine_instructions() - count) * machine_unit;
  for (int i = 0; i < 16; ++i) {
    text[i < 8 ? 4 + i : 5 + i] = "0123456789abcdef"[count >> (60 - 4 * i) & 15];
  }
  machine_print(text);
  return 0;
}
