/* A binary convolution whose outputs are signs: bit 1 where D < t, for planes D and a number t. */

#if NAME_POPCOUNT != 1
static uint32_t NAME_less(const uint32_t *planes, int32_t count, int32_t number) {
  uint32_t less = 0;
  if (number <= 0) return 0;
  if (number >> count != 0) return 0xffffffffu;
  for (int32_t p = 0; p < count; ++p) {
    less = (number >> p & 1) != 0 ? less | ~planes[p] : less & ~planes[p];
  }
  return less;
}
#endif

/* The output pixel at (y, x). */
static void NAME_bconv2d_bits(const NAME_bconv2d *conv, const uint32_t *bits, int32_t y, int32_t x,
                              uint16_t *list, uint32_t *output) {
  const int32_t blocks = (conv->filters + 31) / 32;
  const int32_t words = (conv->filters * conv->groups + 31) / 32;
  memset(output, 0, (uint32_t)words * sizeof(uint32_t));
  for (int32_t group = 0; group < conv->groups; ++group) {
#if NAME_POPCOUNT != 1
    const NAME_lists lists = NAME_list(conv, bits, y, x, group, list);
#endif
#if NAME_POPCOUNT != 0
    const NAME_patch_of_bits patch = NAME_gather(conv, bits, y, x, group, NAME_PATCH(list));
#endif
    for (int32_t block = 0; block < blocks; ++block) {
      const int32_t channel = group * conv->filters + 32 * block;
      const int32_t left = conv->filters - 32 * block;
      const int32_t shift = channel % 32;
      uint32_t signs = 0;
#if NAME_POPCOUNT != 0
      int32_t twice_unlike[32];
      NAME_count_unlike(conv, &patch, group * blocks + block, left, twice_unlike);
      for (int32_t f = 0; f < 32 && f < left; ++f) {
        signs |= (uint32_t)(twice_unlike[f] > conv->limits[channel + f]) << f;
      }
#endif
#if NAME_POPCOUNT != 1
      {
        uint32_t planes[NAME_MOST_PLANES + 4], counted;
        NAME_count_block(conv, group * blocks + block, lists, planes);
        counted = NAME_less(planes, conv->planes, (lists.twice + conv->offset + 1) >> 1);
#if NAME_POPCOUNT == 2 /* for a proof: if the two ways differ, nothing is right */
        if (left < 32) counted &= (1u << left) - 1u;
        if (counted != signs) counted = ~counted;
#endif
        signs = counted;
      }
#endif
      if (left < 32) signs &= (1u << left) - 1u;
      output[channel / 32] |= signs << shift;
      if (shift != 0 && signs >> (32 - shift) != 0) {
        output[channel / 32 + 1] |= signs >> (32 - shift);
      }
    }
  }
}
