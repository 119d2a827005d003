"""`.tflite` files: reading, writing, and what is in them."""
