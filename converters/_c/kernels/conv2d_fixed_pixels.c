/* A convolution of the bytes of a picture with weights of 16 bits, for 4 filters at once. The patch
   has 16 times a pixel minus 16 times the mean, and 0 outside of the image. One more 0 makes its
   length even. The sums fit into 32 bits for every picture there can be: the weights were made
   so. */
typedef struct {
  NAME_window window;
  int32_t channels, filters;
  uint32_t flip;          /* what makes pixels of bytes: 128 where they are pixels minus 128 */
  const int16_t *means;   /* for each channel, times 16 */
  const int16_t *weights; /* for each 4 filters: two neighbors of each, side by side */
  const int8_t *shifts;   /* for each filter */
  const int32_t *offsets; /* for each filter */
} NAME_fixed_pixels;

/* sum + a[0] * b[0] + a[1] * b[1] */
static int32_t NAME_add_pair(int32_t sum, const int16_t *a, const int16_t *b) {
#if NAME_PAIRS
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(NAME_pair(a)), "r"(NAME_pair(b)));
  return sum;
#else
  return sum + a[0] * b[0] + a[1] * b[1];
#endif
}

/* The sums of 4 filters. Gives the weights of the next ones. It has the registers for itself: inside
   of a larger function, compilers would keep some of the sums in memory. */
#if defined(__GNUC__)
__attribute__((noinline))
#endif
static const int16_t *NAME_sums_of_4(const int16_t *pair, const int16_t *end,
                                     const int16_t *weights, int32_t *sums) {
  int32_t a = 0, b = 0, c = 0, d = 0;
#if NAME_PAIRS /* Two at once. Other code has too few registers for that on a Cortex-M0+. */
  for (const int16_t *last = end - 2; pair < last; pair += 4, weights += 16) {
    a = NAME_add_pair(NAME_add_pair(a, pair, weights), pair + 2, weights + 8);
    b = NAME_add_pair(NAME_add_pair(b, pair, weights + 2), pair + 2, weights + 10);
    c = NAME_add_pair(NAME_add_pair(c, pair, weights + 4), pair + 2, weights + 12);
    d = NAME_add_pair(NAME_add_pair(d, pair, weights + 6), pair + 2, weights + 14);
  }
#endif
  for (; pair != end; pair += 2, weights += 8) {
    a = NAME_add_pair(a, pair, weights);
    b = NAME_add_pair(b, pair, weights + 2);
    c = NAME_add_pair(c, pair, weights + 4);
    d = NAME_add_pair(d, pair, weights + 6);
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
  return weights;
}

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
  if (((end - patch) & 1) != 0) *end++ = 0;
  for (int32_t f = 0; f < conv->filters; f += 4) {
    int32_t sums[4];
    weights = NAME_sums_of_4(patch, end, weights, sums);
    for (int32_t i = f; i < f + 4 && i < conv->filters; ++i) {
      output[i] = NAME_scaled(sums[i - f], conv->shifts[i]) + conv->offsets[i];
    }
  }
}
