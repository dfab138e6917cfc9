"""Dataset quality: from corrections to figures one can defend."""
