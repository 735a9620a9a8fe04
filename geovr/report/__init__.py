"""The run's report: one self-contained page, made from what the stages left in the store.

config    what it shows
gather    the parts of a run, found by following digests backwards
flow      what went into each stage, what came out, what was put aside
curves    loss terms over the steps
answers   the worst answers
panels    frames, depths and camera paths of some clips
charts    SVG;  pictures: images as data URIs
page      all of it as HTML
"""
