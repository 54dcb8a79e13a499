"""Parts that Qt does not have: the picture with its guide, the ring, the plots, a notice."""
