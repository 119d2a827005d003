/* A dense layer whose weights are stored in 16 bits. */
static float NAME_half(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 31u, mantissa = half & 1023u;
  uint32_t bits;
  float value;
  if (exponent == 0) { /* 0, or a number so small that its first digit is not 1 */
    value = (float)mantissa * 5.9604644775390625e-8f;
    return sign != 0 ? -value : value;
  }
  bits = sign | (exponent + 112u) << 23 | mantissa << 13;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

static void NAME_dense_float16(const float *row, const uint16_t *weights, const float *bias,
                               int32_t size, int32_t outputs, float *output) {
  for (int32_t f = 0; f < outputs; ++f, weights += size) {
    float sum = 0.0f;
    for (int32_t k = 0; k < size; ++k) {
      const float product = row[k] * NAME_half(weights[k]);
      sum += product;
    }
    output[f] = sum + bias[f];
  }
}
