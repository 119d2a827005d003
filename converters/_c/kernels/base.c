/* What the other kernels share. A tensor has pixels, and a pixel has channels, side by side. */

/* How a window moves over an image. `padding` is the number of pixels that the first window begins
   before the image. */
typedef struct {
  int32_t height, width;                  /* of the image */
  int32_t rows, columns;                  /* of the window */
  int32_t stride_y, stride_x;
  int32_t dilation_y, dilation_x;
  int32_t padding_top, padding_left;
} NAME_window;

/* The pixel of the image under one place of the window, or -1 outside of the image. */
static int32_t NAME_under(const NAME_window *window, int32_t y, int32_t x, int32_t i, int32_t j) {
  const int32_t row = y * window->stride_y - window->padding_top + i * window->dilation_y;
  const int32_t column = x * window->stride_x - window->padding_left + j * window->dilation_x;
  if (row < 0 || row >= window->height || column < 0 || column >= window->width) return -1;
  return row * window->width + column;
}
