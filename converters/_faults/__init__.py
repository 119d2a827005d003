"""What Larq Compute Engine would get wrong or leave in float, and how to change it."""
