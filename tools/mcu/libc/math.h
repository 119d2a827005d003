/* The function of the C library's math.h that a network calls. */
#ifndef MCU_MATH_H
#define MCU_MATH_H
float expf(float x);
#endif
