/* A convolution of the bytes of a picture with whole numbers, which needs no number of the picture
   as a float. A weight is scale * q, and a byte p stands for (p - mean) / std. So a filter gives

     offset + sum over channels of factor * (sum of q * p),   factor = scale / std,

   where the offset has the bias and all means. A place outside of the image stands for 0 and not
   for a byte of 0: there the means are taken back. */
typedef struct {
  NAME_window window;
  int32_t channels, filters;
  uint32_t flip;          /* what makes pixels of bytes: 128 where they are pixels minus 128 */
  const int8_t *weights;  /* q, for each filter */
  const float *factors;   /* for each filter and channel */
  const float *offsets;   /* for each filter */
  const float *means;     /* for each channel */
} NAME_pixel_filters;

/* The sum of one channel. */
static float NAME_sum_of_pixels(const int8_t *weights, const uint8_t *pixels, int32_t size,
                                int32_t channels) {
  int32_t sum = 0;
  for (int32_t k = 0; k < size; k += channels) sum += (int32_t)weights[k] * (int32_t)pixels[k];
  return (float)sum;
}

/* The output pixel at (y, x). `patch` has place for the pixels under the window, and as much again
   to mark the places outside of the image. */
static void NAME_conv2d_pixels(const NAME_pixel_filters *conv, const uint8_t *image, int32_t y,
                               int32_t x, uint8_t *patch, float *output) {
  const int32_t channels = conv->channels;
  const int32_t size = conv->window.rows * conv->window.columns * channels;
  uint8_t *const marks = patch + size;
  int32_t outside = 0, at = 0;
  for (int32_t i = 0; i < conv->window.rows; ++i) {
    for (int32_t j = 0; j < conv->window.columns; ++j) {
      const int32_t pixel = NAME_under(&conv->window, y, x, i, j);
      if (pixel < 0) outside = 1;
      for (int32_t k = 0; k < channels; ++k, ++at) {
        patch[at] = pixel < 0 ? 0u : (uint8_t)(image[pixel * channels + k] ^ conv->flip);
        marks[at] = pixel < 0;
      }
    }
  }
  for (int32_t f = 0; f < conv->filters; ++f) {
    const int8_t *const weights = conv->weights + f * size;
    float sum = conv->offsets[f];
    for (int32_t k = 0; k < channels; ++k) {
      float value = NAME_sum_of_pixels(weights + k, patch + k, size - k, channels);
      if (outside) {
        const float missing =
            conv->means[k] * NAME_sum_of_pixels(weights + k, marks + k, size - k, channels);
        value += missing;
      }
      value *= conv->factors[f * channels + k];
      sum += value;
    }
    output[f] = sum;
  }
}
