/* A convolution of each channel by itself, with `times` filters for each. */
static void NAME_depthwise(const NAME_window *window, const float *image, const float *weights,
                           const float *bias, int32_t channels, int32_t times, int32_t y, int32_t x,
                           float *output) {
  const int32_t filters = channels * times;
  for (int32_t f = 0; f < filters; ++f) output[f] = 0.0f;
  for (int32_t i = 0; i < window->rows; ++i) {
    for (int32_t j = 0; j < window->columns; ++j, weights += filters) {
      const int32_t pixel = NAME_under(window, y, x, i, j);
      if (pixel < 0) continue;
      for (int32_t f = 0; f < filters; ++f) {
        const float product = image[pixel * channels + f / times] * weights[f];
        output[f] += product;
      }
    }
  }
  for (int32_t f = 0; f < filters; ++f) output[f] += bias[f];
}
