static void NAME_maxpool2d(const NAME_window *window, const NAME_stored *image, int32_t channels,
                           int32_t y, int32_t x, NAME_number *output) {
  int32_t is_first = 1;
  for (int32_t i = 0; i < window->rows; ++i) {
    for (int32_t j = 0; j < window->columns; ++j) {
      const int32_t pixel = NAME_under(window, y, x, i, j);
      if (pixel < 0) continue;
      for (int32_t k = 0; k < channels; ++k) {
        const NAME_number value = image[pixel * channels + k];
        if (is_first || value > output[k]) output[k] = value;
      }
      is_first = 0;
    }
  }
}
