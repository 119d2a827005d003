/* The patch under the window, straight from the bytes of a picture. Padding is zeros. */
static void NAME_pixels_patch(const NAME_window *window, const uint8_t *image, const NAME_number *table,
                              int32_t channels, int32_t y, int32_t x, NAME_stored *patch) {
  for (int32_t i = 0; i < window->rows; ++i) {
    for (int32_t j = 0; j < window->columns; ++j, patch += channels) {
      const int32_t pixel = NAME_under(window, y, x, i, j);
      if (pixel < 0) {
        for (int32_t k = 0; k < channels; ++k) patch[k] = 0;
      } else {
        NAME_pixels(image + pixel * channels, table, channels, patch);
      }
    }
  }
}
