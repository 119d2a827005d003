/* The number that a binary convolution gives for x = K - sum. */
typedef struct {
  int32_t lowest, highest; /* an activation, as limits of x */
  const NAME_number *multiplier, *bias;
} NAME_affine;

static NAME_number NAME_affine_one(const NAME_affine *affine, int32_t x, int32_t filter) {
  NAME_number product;
  if (x < affine->lowest) x = affine->lowest;
  if (x > affine->highest) x = affine->highest;
  product = (NAME_number)x * affine->multiplier[filter];
  return product + affine->bias[filter];
}
