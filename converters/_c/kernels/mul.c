/* `step` is 1 where there is another number for each channel, and 0 where there is one for all. */
static void NAME_mul(float *row, const float *other, int32_t step, int32_t count) {
  for (int32_t k = 0; k < count; ++k) row[k] = row[k] * other[k * step];
}
