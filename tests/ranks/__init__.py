"""Each side of a farm, with the other one played."""
