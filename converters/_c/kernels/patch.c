/* The patch under the window, from a map of numbers. Padding is zeros. */
static void NAME_patch(const NAME_window *window, const NAME_stored *image, int32_t channels, int32_t y,
                       int32_t x, NAME_stored *patch) {
  for (int32_t i = 0; i < window->rows; ++i) {
    for (int32_t j = 0; j < window->columns; ++j, patch += channels) {
      const int32_t pixel = NAME_under(window, y, x, i, j);
      if (pixel < 0) {
        for (int32_t k = 0; k < channels; ++k) patch[k] = 0;
      } else {
        memcpy(patch, image + pixel * channels, (uint32_t)channels * sizeof(*patch));
      }
    }
  }
}
