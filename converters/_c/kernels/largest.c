/* One step of a maximum over pixels that are computed one after the other. */
static void NAME_largest(NAME_number *row, const NAME_number *pixel, int32_t is_first, int32_t count) {
  for (int32_t k = 0; k < count; ++k) {
    if (is_first || pixel[k] > row[k]) row[k] = pixel[k];
  }
}
