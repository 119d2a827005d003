/* Classifies a picture on a computer: NAME_classify PICTURE.ppm

   The picture is a binary PPM (P6), or PGM (P5) for a network of one channel, and has the size that
   the network takes. ImageMagick makes one of any photo:
   convert photo.jpg -resize UPPER_WIDTHxUPPER_HEIGHT! -depth 8 picture.ppm */
#include "NAME.h"

#include <stdio.h>

#define PIXELS (UPPER_INPUT_HEIGHT * UPPER_INPUT_WIDTH * UPPER_INPUT_CHANNELS)

static uint32_t arena[UPPER_ARENA_BYTES / 4 + 1];
static uint8_t bytes[PIXELS];
static INPUT_TYPE image[PIXELS];
MEANS
/* The next whole number of the header, or -1. */
static long number(FILE *file) {
  long value = 0;
  int letter = getc(file);
  while (letter == '#' || letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r') {
    if (letter == '#') {
      while (letter != '\n' && letter != EOF) letter = getc(file);
    } else {
      letter = getc(file);
    }
  }
  if (letter < '0' || letter > '9') return -1;
  for (; letter >= '0' && letter <= '9' && value < 100000; letter = getc(file)) {
    value = 10 * value + (letter - '0');
  }
  return value;
}

static int fail(const char *path, const char *reason) {
  fprintf(stderr, "%s: %s\n", path, reason);
  return 1;
}

int main(int count, char **arguments) {
  float scores[UPPER_SCORES];
  long width, height, most;
  FILE *file;
  int kind, best = 0;
  if (count != 2) return fail(arguments[0], "give one picture, a PPM file");
  file = fopen(arguments[1], "rb");
  if (file == NULL) return fail(arguments[1], "cannot be opened");
  kind = getc(file) == 'P' ? getc(file) : 0;
  width = number(file);
  height = number(file);
  most = number(file);
  if (kind != (UPPER_INPUT_CHANNELS == 3 ? '6' : '5') || most != 255) {
    fclose(file);
    return fail(arguments[1], UPPER_INPUT_CHANNELS == 3 ? "is no binary PPM of 8 bits"
                                                        : "is no binary PGM of 8 bits");
  }
  if (width != UPPER_INPUT_WIDTH || height != UPPER_INPUT_HEIGHT) {
    fprintf(stderr, "%s: is %ldx%ld; the network takes %dx%d\n", arguments[1], width, height,
            UPPER_INPUT_WIDTH, UPPER_INPUT_HEIGHT);
    fclose(file);
    return 1;
  }
  if (fread(bytes, 1, PIXELS, file) != PIXELS) {
    fclose(file);
    return fail(arguments[1], "ends too early");
  }
  fclose(file);
  for (int i = 0; i < PIXELS; ++i) image[i] = CONVERTED;
  if (NAME_run(image, scores, arena) != 0) return fail(arguments[0], "the network refuses");
  for (int i = 0; i < UPPER_SCORES; ++i) {
    printf("%-20FORMAT %.6g\n", LABEL_OF_SCORE, (double)scores[i]);
    if (scores[i] > scores[best]) best = i;
  }
  printf("\n%FORMAT\n", LABEL_OF_BEST);
  return 0;
}
