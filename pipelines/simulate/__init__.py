"""A world of two systems and a sync that loses events, played through the real pipeline, with the truth kept beside it."""
