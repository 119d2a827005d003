/* A binary convolution whose outputs are numbers: multiplier * x + bias, for x = K - sum. */

#if NAME_POPCOUNT != 1
/* The numbers of up to 32 filters. Four counters at a time are taken out of the planes, as bytes. */
static void NAME_affine_of(const NAME_affine *affine, const uint32_t *planes, int32_t count,
                           int32_t twice, int32_t first, int32_t filters,
                           NAME_number *output) {
  for (int32_t f = 0; f < 8 && f < filters; ++f) {
    uint32_t low = 0, high = 0;
    for (int32_t p = 0; p < count && p < 8; ++p) low |= (planes[p] >> f & 0x01010101u) << p;
    for (int32_t p = 8; p < count; ++p) high |= (planes[p] >> f & 0x01010101u) << (p - 8);
    for (int32_t i = f; i < filters; i += 8, low >>= 8, high >>= 8) {
      const int32_t x = twice - 2 * (int32_t)((low & 0xffu) | (high & 0xffu) << 8);
      output[i] = NAME_affine_one(affine, x, first + i);
    }
  }
}
#endif

/* The output pixel at (y, x). */
static void NAME_bconv2d_numbers(const NAME_bconv2d *conv, const NAME_affine *affine,
                               const uint32_t *bits, int32_t y, int32_t x, uint16_t *list,
                               NAME_number *output) {
  const int32_t blocks = (conv->filters + 31) / 32;
  for (int32_t group = 0; group < conv->groups; ++group) {
#if NAME_POPCOUNT != 1
    const NAME_lists lists = NAME_list(conv, bits, y, x, group, list);
#endif
#if NAME_POPCOUNT != 0
    const NAME_patch_of_bits patch = NAME_gather(conv, bits, y, x, group, NAME_PATCH(list));
#endif
    for (int32_t block = 0; block < blocks; ++block) {
      const int32_t first = group * conv->filters + 32 * block;
      const int32_t left = conv->filters - 32 * block;
#if NAME_POPCOUNT != 1
      uint32_t planes[NAME_MOST_PLANES + 4];
      NAME_count_block(conv, group * blocks + block, lists, planes);
      NAME_affine_of(affine, planes, conv->planes, lists.twice + conv->offset, first,
                     left < 32 ? left : 32, output + first);
#endif
#if NAME_POPCOUNT != 0
      int32_t twice_unlike[32];
      NAME_count_unlike(conv, &patch, group * blocks + block, left, twice_unlike);
      for (int32_t f = 0; f < 32 && f < left; ++f) {
        NAME_number number = NAME_affine_one(affine, twice_unlike[f], first + f);
#if NAME_POPCOUNT == 2 /* for a proof: if the two ways differ, nothing is right */
        if (number != output[first + f]) number = NAME_WRONG;
#endif
        output[first + f] = number;
      }
#endif
    }
  }
}
