"""The parts of `fold`: values with offsets, what layers do to them, and joined convolutions."""
