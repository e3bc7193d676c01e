"""What in the files of profiles is surely not meant, though it can be read."""
