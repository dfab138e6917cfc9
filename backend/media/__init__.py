"""An address in a task becomes bytes, safely: fetching, cache, reading by ranges."""
