"""The Label Studio ML backend around the method in `videogem`."""
