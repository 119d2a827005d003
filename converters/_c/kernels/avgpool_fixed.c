/* The average of the pixels under the window that lie on the image, with `bits` more bits behind the
   point. */
static void NAME_avgpool_fixed(const NAME_window *window, const int16_t *image, int32_t channels,
                               int32_t bits, int32_t y, int32_t x, int32_t *output) {
  const int32_t count = NAME_sum(window, image, channels, y, x, output);
  for (int32_t k = 0; k < channels; ++k) {
    const int32_t whole = output[k] / count, rest = output[k] % count;
    output[k] = whole * (1 << bits) + rest * (1 << bits) / count;
  }
}
