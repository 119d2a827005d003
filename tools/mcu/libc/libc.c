/* What a network needs of a C library. The host uses it too, so that it gives the same bits. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#pragma GCC optimize("fp-contract=off")

/* Without the first line, a compiler makes a loop that copies a call of memcpy. */
#define PLAIN_LOOP __attribute__((optimize("no-tree-loop-distribute-patterns")))

PLAIN_LOOP void *memcpy(void *to, const void *from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  if ((((uintptr_t)t | (uintptr_t)f) & 3u) == 0) {
    for (; size >= 4; size -= 4, t += 4, f += 4) {
      *(uint32_t *)(void *)t = *(const uint32_t *)(const void *)f;
    }
  }
  while (size-- > 0) *t++ = *f++;
  return to;
}

PLAIN_LOOP void *memset(void *to, int byte, size_t size) {
  unsigned char *t = to;
  const uint32_t word = (uint32_t)(unsigned char)byte * 0x01010101u;
  if (((uintptr_t)t & 3u) == 0) {
    for (; size >= 4; size -= 4, t += 4) *(uint32_t *)(void *)t = word;
  }
  while (size-- > 0) *t++ = (unsigned char)byte;
  return to;
}

/* 2^k e^r for x = k ln 2 + r, with the series of e^r in float64, where the rest is below 1e-9. */
float expf(float x) {
  const int32_t k = (int32_t)(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));
  const double r = (double)x - (double)k * 0.69314718055994531;
  double sum = 1;
  union {
    uint64_t bits;
    double value;
  } power;
  if (x < -104.0f) return 0.0f;
  if (x > 88.8f) return (float)1e300;
  for (int i = 9; i > 0; --i) sum = 1 + sum * r / i;
  power.bits = (uint64_t)(1023 + k) << 52;
  return (float)(sum * power.value);
}
