"""Files become frames, exact by timestamp. Imports values only."""
