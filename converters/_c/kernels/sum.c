/* The sum of the pixels under the window that lie on the image. Gives their number. */
static int32_t NAME_sum(const NAME_window *window, const NAME_stored *image, int32_t channels,
                        int32_t y, int32_t x, NAME_number *output) {
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
  return count;
}
