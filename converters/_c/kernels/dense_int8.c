/* A dense layer whose weights are stored in 8 bits, with a scale for each output. */
static void NAME_dense_int8(const float *row, const int8_t *weights, const float *scales,
                            const float *bias, int32_t size, int32_t outputs, float *output) {
  for (int32_t f = 0; f < outputs; ++f, weights += size) {
    float sum = 0.0f;
    for (int32_t k = 0; k < size; ++k) {
      const float product = row[k] * (float)weights[k];
      sum += product;
    }
    {
      const float scaled = sum * scales[f];
      output[f] = scaled + bias[f];
    }
  }
}
