"""Many frames at once into a file: read, grounded here or on a cluster; and their import."""
