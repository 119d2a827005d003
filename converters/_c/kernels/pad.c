/* A pixel of an image with a number around it, in space and in channels. */
static void NAME_pad(const NAME_window *window, const float *image, int32_t channels,
                     int32_t before, int32_t all, float number, int32_t y, int32_t x,
                     float *output) {
  const int32_t pixel = NAME_under(window, y, x, 0, 0);
  for (int32_t k = 0; k < all; ++k) output[k] = number;
  if (pixel >= 0) {
    memcpy(output + before, image + pixel * channels, (uint32_t)channels * sizeof(float));
  }
}
