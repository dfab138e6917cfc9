"""The synthetic world: drawing, captions, clips and the splits the demo model is measured on."""
