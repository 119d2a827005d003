// Classifies pictures that come over the serial port: UPPER_INPUT_HEIGHT rows of UPPER_INPUT_WIDTH
// pixels, each of UPPER_INPUT_CHANNELS numbers of the type INPUT_TYPE. Answers with the best class,
// its score and the time.
#include <NAME.h>

static uint32_t arena[UPPER_ARENA_BYTES / 4 + 1];
static INPUT_TYPE image[UPPER_INPUT_HEIGHT * UPPER_INPUT_WIDTH * UPPER_INPUT_CHANNELS];
static float scores[UPPER_SCORES];

void setup() {
  Serial.begin(115200);
  Serial.setTimeout(10000);
}

void loop() {
  if (Serial.readBytes((char *)image, sizeof(image)) != sizeof(image)) return;
  const unsigned long began = micros();
  if (NAME_run(image, scores, arena) != 0) return;
  const unsigned long took = micros() - began;
  int best = 0;
  for (int i = 1; i < UPPER_SCORES; ++i) {
    if (scores[i] > scores[best]) best = i;
  }
  Serial.print(LABEL_OF_BEST);
  Serial.print(' ');
  Serial.print(scores[best], 6);
  Serial.print(' ');
  Serial.print(took);
  Serial.println(" us");
}
