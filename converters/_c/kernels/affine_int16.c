/* The number that a binary convolution gives for x = K - sum. */
typedef struct {
  int32_t lowest, highest; /* an activation, as limits of x */
  const int32_t *multiplier, *bias;
} NAME_affine;

#define NAME_WRONG 0x3fffffff

static int32_t NAME_affine_one(const NAME_affine *affine, int32_t x, int32_t filter) {
  if (x < affine->lowest) x = affine->lowest;
  if (x > affine->highest) x = affine->highest;
  return x * affine->multiplier[filter] + affine->bias[filter];
}
