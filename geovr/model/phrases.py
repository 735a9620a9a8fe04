"""Whole phrases as single tokens, for models that learn to read from nothing.

A question about a small clip is mostly fixed wording: with the words of `tiny` eight questions take
three times the tokens of what they are about. With its phrases as tokens a question is two or three
of them, so a step costs a fraction, and a kind is told by one embedding. Any other text is still
spelled as before.
"""

from __future__ import annotations

from geovr.data.prompts import LETTER, NUMBER

ROLES = ("<|im_start|>user\n", "\n<|im_start|>assistant\n")
SECONDS = tuple(f"<{half / 2:.1f} seconds>" for half in range(64))
"""Times of frames, up to 32 s at two frames a second."""
WORDINGS = (
    "What is the size of this room (in square meters)?",
    "How long is the camera's path, summed from frame to frame (in meters)?",
    "How far is the camera's last position from its first (in meters)?",
    "How far along the view is the farthest visible surface (in meters)?",
    "How far along the view is the nearest visible surface (in meters)?",
    "How does the camera turn in all, left against right?",
    "Which furniture colour covers most of the video?",
    "How many ",
    "(s) are in this room?",
)
NAMES = (
    *("chair", "table", "sofa", "bed", "wardrobe", "lamp", "plant", "bookshelf"),
    *("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"),
)
OPTIONS = (
    "left, over 150 degrees",
    "left, under 150 degrees",
    "right, under 150 degrees",
    "right, over 150 degrees",
)
INSTRUCTIONS = (f"\n{NUMBER}", "\nOptions:", f"\n{LETTER}", *(f"\n{a}. " for a in "ABCD"))
OBJECT_WORDINGS = (
    "How many kinds of furniture does the video show?",
    "Measuring from the closest point of each object, how far apart are the ",
    " and the ",
    " (in meters)?",
    "How long is the longest dimension (length, width, or height) of the ",
    ", measured in centimeters?",
    "Measuring from the closest point of each object, which of these objects (",
    ") is the closest to the ",
    "? Of several objects of a category, the closest one counts.",
    "If I am standing by the ",
    " and facing the ",
    ", is the ",
    " to the left or the right of the ",
    (
        " to my left, right, or back? Something is to my back if I would have to turn by 135 "
        "degrees or more to face it."
    ),
    (
        " to my front-left, front-right, back-left, or back-right? These are the quadrants of a "
        "plane in which I am at the origin and face along the positive y-axis."
    ),
    "In which order do these categories first appear in the video: ",
    ", ",
)
"""Fixed parts of questions that refer to objects; names come between them."""
DIRECTIONS = ("left", "right", "back", "front-left", "front-right", "back-left", "back-right")
WORDS = frozenset((*NAMES, *DIRECTIONS))
"""Phrases that are tokens only as whole words: "red" is none in "covered"."""
PHRASES = (
    *(*ROLES, *SECONDS, *WORDINGS, *NAMES, *OPTIONS, *INSTRUCTIONS),
    *(*OBJECT_WORDINGS, *DIRECTIONS),
)
"""In the order of their ids, on which a model's weights hang: new ones go to the end."""
