/* A binary convolution: it counts signs with AND, XOR and nothing else, for 32 filters at once.

   A sign is a bit, and 1 stands for -1. A word of `filters` has one weight of 32 filters. Let K be
   the number of weights of a filter, u the number of them that are unlike their input, and
   x = 2 u = K - sum of products. For the inputs that are set, S of them, a weight that is set is
   alike and one that is not is unlike; for the others it is the other way around. So

     x = 2 (weights set) + 2 S - 4 A,   A = number of weights set among the S inputs that are set.

   Only A has to be counted, over half of the inputs or so: their words are added up "sideways", in
   planes. Plane p has bit p of 32 counters, one for each filter, and a full adder of five logical
   operations adds a word to 32 counters at once. The counters do not begin at 0, but at what the
   filter's own weights (and threshold) contribute.

   Outside of the image, where padding is zeros, a product is 0: neither alike nor unlike. There the
   count of the filter's own weights B is too much: x = 2 (weights set) + 2 S + N - 2 (2 A + B), for
   N inputs outside. So planes hold D = start + B + 2 A, where A begins at plane 1. */

typedef struct {
  NAME_window window;
  int32_t words;         /* of an input pixel */
  int32_t group_words;   /* of them, those of a group of channels */
  int32_t channels;      /* of a group */
  int32_t zeros;         /* whether padding is zeros; if not, it is ones, whose bits are 0 */
  int32_t filters;       /* of a group */
  int32_t groups;
  int32_t planes;        /* of a counter */
  int32_t offset;        /* twice what all counters begin above 0 */
  const uint32_t *weights; /* for each 32 filters: a word for each weight, and a word of 0 */
  const uint32_t *starts;  /* for each 32 filters: the planes in which the counters begin */
  const uint32_t *rows;    /* for each 4 filters: the words of a filter, each of all 4 */
  const int32_t *limits;   /* for each filter: its sign is negative where x is above that */
} NAME_bconv2d;

#if NAME_POPCOUNT != 1
#define NAME_MOST_PLANES 16

/* The inputs under a window, as byte offsets of words of weights. */
typedef struct {
  const uint16_t *set, *outside;
  int32_t set_length, outside_length;
  int32_t twice; /* 2 S + N */
} NAME_lists;

/* sum, carry = a + b + sum */
#define NAME_FULL_ADDER(sum, carry, a, b)      \
  do {                                         \
    const uint32_t either_ = (sum) ^ (a);      \
    (carry) = ((sum) & (a)) | (either_ & (b)); \
    (sum) = either_ ^ (b);                     \
  } while (0)

/* Appends the places of the bits that are set in a word, as byte offsets of words of weights. */
static uint16_t *NAME_list_word(uint32_t word, uint32_t offset, uint16_t *end) {
#if defined(__GNUC__) && (defined(__ARM_FEATURE_CLZ) || defined(__aarch64__) || \
                          defined(__x86_64__) || defined(__riscv_zbb))
  while (word != 0) {
    *end++ = (uint16_t)(offset + 4u * (uint32_t)__builtin_ctz(word));
    word &= word - 1u;
  }
#else /* a core that cannot count zeros */
  while (word != 0) {
    if ((word & 1u) != 0) *end++ = (uint16_t)offset;
    word >>= 1;
    offset += 4u;
  }
#endif
  return end;
}

/* Fills a list with the word of 0 until its length is a multiple of 8. */
static int32_t NAME_end_list(const uint16_t *list, uint16_t *end, uint32_t zero) {
  while (((end - list) & 7) != 0) *end++ = (uint16_t)zero;
  return (int32_t)(end - list);
}

/* Lists the inputs of a group that are set, under the window at (y, x). Gives their number, and in
   `length` that of the list. */
static int32_t NAME_list_set(const NAME_bconv2d *conv, const uint32_t *bits, int32_t y, int32_t x,
                             int32_t group, uint16_t *list, int32_t *length) {
  uint16_t *end = list;
  uint32_t offset = 0;
  int32_t set;
  for (int32_t i = 0; i < conv->window.rows; ++i) {
    for (int32_t j = 0; j < conv->window.columns; ++j) {
      const int32_t pixel = NAME_under(&conv->window, y, x, i, j);
      if (pixel >= 0) {
        const uint32_t *words = bits + pixel * conv->words + group * conv->group_words;
        for (int32_t k = 0; k < conv->group_words; ++k) {
          end = NAME_list_word(words[k], offset + 128u * (uint32_t)k, end);
        }
      }
      offset += 4u * (uint32_t)conv->channels;
    }
  }
  set = (int32_t)(end - list);
  *length = NAME_end_list(list, end, offset);
  return set;
}

/* Lists the inputs outside of the image. Gives their number. */
static int32_t NAME_list_outside(const NAME_bconv2d *conv, int32_t y, int32_t x, uint16_t *list,
                                 int32_t *length) {
  uint16_t *end = list;
  uint32_t offset = 0;
  int32_t outside;
  for (int32_t i = 0; i < conv->window.rows; ++i) {
    for (int32_t j = 0; j < conv->window.columns; ++j) {
      const int32_t is_outside = NAME_under(&conv->window, y, x, i, j) < 0;
      for (int32_t k = 0; k < conv->channels; ++k, offset += 4u) {
        if (is_outside) *end++ = (uint16_t)offset;
      }
    }
  }
  outside = (int32_t)(end - list);
  *length = NAME_end_list(list, end, offset);
  return outside;
}

/* Adds the words of a list to the counters: 8 words in 7 full adders, then one carry. */
static void NAME_count(const uint32_t *weights, const uint16_t *list, int32_t length,
                       uint32_t *planes) {
  const unsigned char *base = (const unsigned char *)weights;
  uint32_t ones = planes[0], twos = planes[1], fours = planes[2];
#define NAME_WORD(k) (*(const uint32_t *)(const void *)(base + list[k]))
  for (; length > 0; length -= 8, list += 8) {
    uint32_t two_a, two_b, four_a, four_b, carry;
    uint32_t *plane = planes + 3;
    NAME_FULL_ADDER(ones, two_a, NAME_WORD(0), NAME_WORD(1));
    NAME_FULL_ADDER(ones, two_b, NAME_WORD(2), NAME_WORD(3));
    NAME_FULL_ADDER(twos, four_a, two_a, two_b);
    NAME_FULL_ADDER(ones, two_a, NAME_WORD(4), NAME_WORD(5));
    NAME_FULL_ADDER(ones, two_b, NAME_WORD(6), NAME_WORD(7));
    NAME_FULL_ADDER(twos, four_b, two_a, two_b);
    NAME_FULL_ADDER(fours, carry, four_a, four_b);
    while (carry != 0) {
      const uint32_t old = *plane;
      *plane++ = old ^ carry;
      carry &= old;
    }
  }
#undef NAME_WORD
  planes[0] = ones;
  planes[1] = twos;
  planes[2] = fours;
}

/* Counts for the filters of one word, which is number `block` of all. */
static void NAME_count_block(const NAME_bconv2d *conv, int32_t block, NAME_lists lists,
                             uint32_t *planes) {
  const int32_t weights = conv->window.rows * conv->window.columns * conv->channels + 1;
  const uint32_t *words = conv->weights + block * weights;
  memset(planes, 0, (NAME_MOST_PLANES + 4) * sizeof(uint32_t));
  memcpy(planes, conv->starts + block * conv->planes, (uint32_t)conv->planes * sizeof(uint32_t));
  if (lists.outside_length > 0) NAME_count(words, lists.outside, lists.outside_length, planes);
  NAME_count(words, lists.set, lists.set_length, planes + 1);
}

/* What each group does first: lists for the window at (y, x). `place` is large enough for both. */
static NAME_lists NAME_list(const NAME_bconv2d *conv, const uint32_t *bits, int32_t y, int32_t x,
                            int32_t group, uint16_t *place) {
  int32_t set_length, outside_length = 0;
  int32_t twice = 2 * NAME_list_set(conv, bits, y, x, group, place, &set_length);
  uint16_t *outside = place + set_length;
  if (conv->zeros) twice += NAME_list_outside(conv, y, x, outside, &outside_length);
  {
    const NAME_lists lists = {place, outside, set_length, outside_length, twice};
    return lists;
  }
}
#endif
