/* The number that a binary convolution gives for x = K - sum. */
typedef struct {
  int32_t lowest, highest; /* an activation, as limits of x */
  const float *multiplier, *bias;
} NAME_affine;

#define NAME_WRONG 3e38f

static float NAME_affine_one(const NAME_affine *affine, int32_t x, int32_t filter) {
  float product;
  if (x < affine->lowest) x = affine->lowest;
  if (x > affine->highest) x = affine->highest;
  product = (float)x * affine->multiplier[filter];
  return product + affine->bias[filter];
}
