/* The maximum of signs is -1 where all of them are: the AND of their bits. Where a bit of `flips` is
   set, it is -1 where any of them is. */
static void NAME_bmaxpool2d(const NAME_window *window, const uint32_t *bits, const uint32_t *flips,
                            int32_t words, int32_t y, int32_t x, uint32_t *output) {
  memset(output, 0xff, (uint32_t)words * sizeof(uint32_t));
  for (int32_t i = 0; i < window->rows; ++i) {
    for (int32_t j = 0; j < window->columns; ++j) {
      const int32_t pixel = NAME_under(window, y, x, i, j);
      if (pixel < 0) continue;
      for (int32_t k = 0; k < words; ++k) {
        const uint32_t word = bits[pixel * words + k];
        output[k] &= flips != 0 ? word ^ flips[k] : word;
      }
    }
  }
  for (int32_t k = 0; flips != 0 && k < words; ++k) output[k] ^= flips[k];
}
