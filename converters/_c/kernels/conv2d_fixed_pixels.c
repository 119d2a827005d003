/* A convolution of the bytes of a picture with weights of 16 bits, for 4 filters at once. The patch
   has 16 times a pixel minus 16 times the mean, and 0 outside of the image. The sums fit into 32 bits
   for every picture there can be: the weights were made so. */
typedef struct {
  NAME_window window;
  int32_t channels, filters;
  uint32_t flip;          /* what makes pixels of bytes: 128 where they are pixels minus 128 */
  const int16_t *means;   /* for each channel, times 16 */
  const int16_t *weights; /* for each 4 filters: a weight of each, side by side */
  const int8_t *shifts;   /* for each filter */
  const int32_t *offsets; /* for each filter */
} NAME_fixed_pixels;

static void NAME_conv2d_fixed_pixels(const NAME_fixed_pixels *conv, const uint8_t *image, int32_t y,
                                     int32_t x, int16_t *patch, int32_t *output) {
  const int32_t channels = conv->channels;
  const int16_t *weights = conv->weights;
  int16_t *end = patch;
  for (int32_t i = 0; i < conv->window.rows; ++i) {
    for (int32_t j = 0; j < conv->window.columns; ++j) {
      const int32_t pixel = NAME_under(&conv->window, y, x, i, j);
      for (int32_t k = 0; k < channels; ++k) {
        const int32_t byte = pixel < 0 ? 0 : (int32_t)(image[pixel * channels + k] ^ conv->flip);
        *end++ = (int16_t)(pixel < 0 ? 0 : 16 * byte - conv->means[k]);
      }
    }
  }
  for (int32_t f = 0; f < conv->filters; f += 4) {
    int32_t sums[4], a = 0, b = 0, c = 0, d = 0;
    for (const int16_t *value = patch; value != end; ++value, weights += 4) {
      a += *value * weights[0];
      b += *value * weights[1];
      c += *value * weights[2];
      d += *value * weights[3];
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
    for (int32_t i = f; i < f + 4 && i < conv->filters; ++i) {
      output[i] = NAME_scaled(sums[i - f], conv->shifts[i]) + conv->offsets[i];
    }
  }
}
