/* A convolution of real numbers: the product of a patch, of `size` numbers, with each filter. */
static void NAME_conv2d(const float *patch, const float *weights, const float *bias, int32_t size,
                        int32_t filters, float *output) {
  for (int32_t f = 0; f < filters; ++f, weights += size) {
    float sum = 0.0f;
    for (int32_t k = 0; k < size; ++k) {
      const float product = patch[k] * weights[k];
      sum += product;
    }
    output[f] = sum + bias[f];
  }
}
