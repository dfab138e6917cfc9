"""Ready labeling configs, to paste into Label Studio; `videogem configs` prints them."""
