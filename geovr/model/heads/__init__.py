"""One head a file: camera, depth, scale, features."""
