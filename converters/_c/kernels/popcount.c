/* The same sums on a processor that counts the bits of a word in one instruction. The words under the
   window are gathered in a patch, and for 4 filters at once the bits are counted in which they are
   unlike: x = 2 u + N, where nothing is counted for the N inputs outside if padding is zeros. */
#if NAME_POPCOUNT != 0
typedef struct {
  const uint32_t *words, *masks; /* a mask is 0 for a word outside of the image */
  int32_t outside;         /* N */
} NAME_patch_of_bits;

/* Gathers the words of a group of channels under the window at (y, x), and their masks. */
static NAME_patch_of_bits NAME_gather(const NAME_bconv2d *conv, const uint32_t *bits, int32_t y,
                                      int32_t x, int32_t group, uint32_t *word) {
  uint32_t *mask = word + conv->window.rows * conv->window.columns * conv->group_words;
  NAME_patch_of_bits patch;
  patch.words = word;
  patch.masks = mask;
  patch.outside = 0;
  for (int32_t i = 0; i < conv->window.rows; ++i) {
    for (int32_t j = 0; j < conv->window.columns; ++j) {
      const int32_t pixel = NAME_under(&conv->window, y, x, i, j);
      const int32_t from = pixel * conv->words + group * conv->group_words;
      for (int32_t k = 0; k < conv->group_words; ++k) *word++ = pixel < 0 ? 0u : bits[from + k];
      if (!conv->zeros) continue;
      for (int32_t k = 0; k < conv->group_words; ++k) *mask++ = pixel < 0 ? 0u : 0xffffffffu;
      if (pixel < 0) patch.outside += conv->channels;
    }
  }
  return patch;
}

/* x of 32 filters, or those that are left, which are number `block` of all. */
static void NAME_count_unlike(const NAME_bconv2d *conv, const NAME_patch_of_bits *patch,
                              int32_t block, int32_t left, int32_t *x) {
  const int32_t words = conv->window.rows * conv->window.columns * conv->group_words;
  const uint32_t *filter = conv->rows + block * 32 * words;
  for (int32_t f = 0; f < 32 && f < left; f += 4, x += 4) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    if (patch->outside == 0) {
      const uint32_t *word = patch->words, *const end = word + words;
      for (; word != end; ++word, filter += 4) {
        const uint32_t bits = *word;
        a += __builtin_popcount(bits ^ filter[0]);
        b += __builtin_popcount(bits ^ filter[1]);
        c += __builtin_popcount(bits ^ filter[2]);
        d += __builtin_popcount(bits ^ filter[3]);
      }
    } else {
      for (int32_t k = 0; k < words; ++k, filter += 4) {
        const uint32_t bits = patch->words[k], mask = patch->masks[k];
        a += __builtin_popcount((bits ^ filter[0]) & mask);
        b += __builtin_popcount((bits ^ filter[1]) & mask);
        c += __builtin_popcount((bits ^ filter[2]) & mask);
        d += __builtin_popcount((bits ^ filter[3]) & mask);
      }
    }
    x[0] = 2 * a + patch->outside;
    x[1] = 2 * b + patch->outside;
    x[2] = 2 * c + patch->outside;
    x[3] = 2 * d + patch->outside;
  }
}
#if NAME_POPCOUNT == 2 /* both ways are tried, each with memory of its own */
static uint32_t NAME_memory_of_patch[2 * 16384];
#define NAME_PATCH(list) NAME_memory_of_patch
#else
#define NAME_PATCH(list) (uint32_t *)(void *)(list)
#endif
#endif
