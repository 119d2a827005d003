/* A sum of products with other bits behind the point: `shift` fewer, or more. */
static int32_t NAME_scaled(int32_t sum, int32_t shift) {
  return shift > 0 ? ((sum >> (shift - 1)) + 1) >> 1 : sum * (1 << -shift);
}
