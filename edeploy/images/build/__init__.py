"""From recipe to image: layers over each other, the finished tree, its archive and papers."""
