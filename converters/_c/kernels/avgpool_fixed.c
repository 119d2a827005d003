/* The average of the pixels under the window that lie on the image, with `bits` more bits behind the
   point. */
static void NAME_avgpool_fixed(const NAME_window *window, const int16_t *image, int32_t channels,
                               int32_t bits, int32_t y, int32_t x, int32_t *output) {
  int32_t count = 0;
  for (int32_t k = 0; k < channels; ++k) output[k] = 0;
  for (int32_t i = 0; i < window->rows; ++i) {
    for (int32_t j = 0; j < window->columns; ++j) {
      const int32_t pixel = NAME_under(window, y, x, i, j);
      if (pixel < 0) continue;
      for (int32_t k = 0; k < channels; ++k) output[k] += image[pixel * channels + k];
      ++count;
    }
  }
  for (int32_t k = 0; k < channels; ++k) {
    const int32_t whole = output[k] / count, rest = output[k] % count;
    output[k] = whole * (1 << bits) + rest * (1 << bits) / count;
  }
}
