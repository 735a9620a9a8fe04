"""One question to one model about one video: `geovr ask`."""
