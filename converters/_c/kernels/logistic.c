/* Needs expf of <math.h>. */
static void NAME_logistic(float *row, int32_t count) {
  for (int32_t k = 0; k < count; ++k) row[k] = 1.0f / (1.0f + expf(-row[k]));
}
