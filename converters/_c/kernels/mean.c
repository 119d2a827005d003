/* The mean of all pixels. */
static void NAME_mean(const float *image, int32_t pixels, int32_t channels, float *output) {
  for (int32_t k = 0; k < channels; ++k) output[k] = 0.0f;
  for (int32_t i = 0; i < pixels; ++i, image += channels) {
    for (int32_t k = 0; k < channels; ++k) output[k] += image[k];
  }
  for (int32_t k = 0; k < channels; ++k) output[k] /= (float)pixels;
}
