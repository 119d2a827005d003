/* The average of the pixels under the window that lie on the image. */
static void NAME_avgpool2d(const NAME_window *window, const float *image, int32_t channels,
                           int32_t y, int32_t x, float *output) {
  const float count = (float)NAME_sum(window, image, channels, y, x, output);
  for (int32_t k = 0; k < channels; ++k) output[k] /= count;
}
